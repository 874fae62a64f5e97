"""Data over a connection of its own, with a proof that the receiver has read it.

TCP only confirms that the kernel of the receiver has the data. So the sender closes its side after
the data, and waits until the receiver closes the connection: a receiver reads to the end before it
closes. A receiver that stops with unread data resets the connection instead.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Sequence

from app.network.http import special_addresses
from app.network.http.egress import Refusal, public_addresses, tls_context
from app.ports.dns import Resolver
from app.ports.streams import StreamRequest

REFUSED_ADDRESS = "the address of the receiver is not public"
NO_ADDRESS = "the host of the receiver has no address"
_READ_BYTES = 16 * 1024


async def send(
    resolver: Resolver,
    allowed: Sequence[special_addresses.Network],
    host: str,
    request: StreamRequest,
) -> str | None:
    """Send the data; see ``StreamSender``.

    allowed  networks that are allowed although they are not public
    """
    try:
        addresses = await public_addresses(resolver, host, allowed)
    except Refusal as refusal:
        return NO_ADDRESS if refusal.failure == "no_address" else REFUSED_ADDRESS
    return await asyncio.to_thread(_send, str(addresses[0]), host, request)


def _send(address: str, host: str, request: StreamRequest) -> str | None:
    try:
        deadline = time.monotonic() + request.seconds
        with socket.create_connection((address, request.port), timeout=request.seconds) as wire:
            connection = _Connection(wire, deadline)
            if request.is_tls:
                connection.start_tls(tls_context(request.ca_certificates), host)
            connection.send(request.data)
            connection.finish()
    except ssl.SSLCertVerificationError as error:
        return f"the certificate of the receiver is not trusted: {error.verify_message}"
    except ssl.SSLError as error:
        return f"TLS with the receiver failed: {error.reason or 'the connection ended'}"
    except TimeoutError:
        return "the receiver did not read the records and close the connection in time"
    except ConnectionResetError:
        return "the receiver closed the connection before it had read the records"
    except OSError as error:
        return f"the connection failed: {error.strerror or error}"
    return None


class _Connection:
    """A connection, with TLS over memory buffers so that both ends can be closed separately."""

    def __init__(self, wire: socket.socket, deadline: float) -> None:
        self._wire, self._deadline = wire, deadline
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Complete the handshake; raises ssl.SSLError."""
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                if not self._receive():
                    raise ConnectionResetError from None
                continue
            except ssl.SSLError:
                self._flush()  # the alert says why
                raise
            break
        self._flush()
        self._tls = tls

    def send(self, data: bytes) -> None:
        """Send all data."""
        if self._tls is None:
            self._send_raw(data)
            return
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view[:_READ_BYTES]) :]
            self._flush()

    def finish(self) -> None:
        """Close this side, and wait until the receiver closes the connection."""
        is_closed = self._close_tls()
        self._set_timeout()
        self._wire.shutdown(socket.SHUT_WR)
        while self._receive():
            is_closed = is_closed or self._close_tls()

    def _close_tls(self) -> bool:
        """Return whether the receiver has closed its side; raises ssl.SSLError for an alert."""
        if self._tls is None:
            return True
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        return True

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._send_raw(self._outgoing.read())

    def _send_raw(self, data: bytes) -> None:
        self._set_timeout()
        self._wire.sendall(data)

    def _receive(self) -> bool:
        """Read what the receiver sends; False at the end of the connection."""
        self._set_timeout()
        data = self._wire.recv(_READ_BYTES)
        self._incoming.write(data)
        return bool(data)

    def _set_timeout(self) -> None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._wire.settimeout(remaining)

"""A TLS socket that limits how much a server sends for one command, and the total time."""

import socket
import ssl
import time
from typing import Any

_GREETING = b"* OK\r\n"  # what an IMAP client reads first; after STARTTLS, servers send none
_MAX_LINES, _MAX_LINE = 20, 2048  # of a server before TLS


class ReceiveLimit:
    """The bytes that a connection may still receive, and until when.

    idle_seconds   the longest time without data
    total_seconds  the longest time from now on
    size_bytes     until the next call of ``allow``
    """

    def __init__(self, idle_seconds: float, total_seconds: float, size_bytes: int) -> None:
        self._idle_seconds, self._total_seconds = idle_seconds, total_seconds
        self._deadline = time.monotonic() + total_seconds
        self._remaining_bytes = size_bytes

    def allow(self, size_bytes: int) -> None:
        """Allow this many bytes from now on, regardless of how many remain."""
        self._remaining_bytes = size_bytes

    def timeout(self) -> float:
        """Return how many seconds the next read may take.

        raises  TimeoutError after the deadline
        """
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            total = f"{self._total_seconds:.0f} seconds"
            raise TimeoutError(f"the server did not finish within {total}")
        return min(self._idle_seconds, remaining)

    def count(self, size_bytes: int) -> None:
        """Count received bytes.

        raises  OSError if the server sent more than allowed
        """
        self._remaining_bytes -= size_bytes
        if self._remaining_bytes < 0:
            raise OSError("the server sent more than the maximum message size")


class TlsConnector:
    """Starts TLS on the socket of an IMAP client, which calls ``wrap_socket`` of an SSLContext.

    server_name   the name that the certificate must have; the client connects to an address
    has_starttls  the connection begins in clear text, and TLS starts with STARTTLS (RFC 3501 §6.2)
    """

    def __init__(
        self, context: ssl.SSLContext, limit: ReceiveLimit, server_name: str, has_starttls: bool
    ) -> None:
        _limit_sockets(context, limit)
        self._context, self._limit = context, limit
        self._server_name, self._has_starttls = server_name, has_starttls

    def wrap_socket(self, plain: socket.socket, **_: Any) -> ssl.SSLSocket:
        """Return the TLS socket, after the handshake.

        raises  OSError, also if the server refuses STARTTLS
        """
        try:
            if self._has_starttls:
                self._request_tls(plain)
            plain.settimeout(self._limit.timeout())
            secure = self._context.wrap_socket(plain, server_hostname=self._server_name)
        except BaseException:
            plain.close()
            raise
        if self._has_starttls:
            secure.greeting = _GREETING  # type: ignore[attr-defined]
        return secure

    def _request_tls(self, plain: socket.socket) -> None:
        greeting = self._line(plain)
        if not greeting.startswith(b"* OK"):
            raise OSError(f"the server does not offer STARTTLS: {_text(greeting)}")
        plain.sendall(b"tls STARTTLS\r\n")
        for _ in range(_MAX_LINES):
            tag, _, answer = self._line(plain).partition(b" ")
            if tag == b"tls":
                if not answer.upper().startswith(b"OK"):
                    raise OSError(f"the server refused STARTTLS: {_text(answer)}")
                return
        raise OSError("the server did not answer STARTTLS")

    def _line(self, plain: socket.socket) -> bytes:
        """Return the next line; nothing behind it is read, so that it cannot count as encrypted."""
        line = b""
        while not line.endswith(b"\n"):
            plain.settimeout(self._limit.timeout())
            byte = plain.recv(1)
            line += byte
            if not byte or len(line) > _MAX_LINE:
                raise OSError("the server is not an IMAP server with STARTTLS")
        return line.strip()


def _text(line: bytes) -> str:
    return line.decode("ascii", "replace")


def _limit_sockets(context: ssl.SSLContext, limit: ReceiveLimit) -> None:
    """Apply the limit to every socket that the context wraps from now on."""

    class BoundedSocket(ssl.SSLSocket):
        """A socket that checks the limit at every read; first, it returns the greeting."""

        greeting = b""

        def recv_into(self, buffer: Any, *args: Any, **kwargs: Any) -> int:
            if self.greeting:
                size = min(len(buffer), len(self.greeting))
                buffer[:size] = self.greeting[:size]
                self.greeting = self.greeting[size:]
                return size
            self.settimeout(limit.timeout())
            try:
                size = super().recv_into(buffer, *args, **kwargs)
            except TimeoutError:
                limit.timeout()  # raises a TimeoutError with a better reason after the deadline
                raise
            limit.count(size)
            return size

    context.sslsocket_class = BoundedSocket

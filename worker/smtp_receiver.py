"""``python -m worker lmtp``: receives reports from a mail server, by LMTP or SMTP.

The listener needs the setting ``SMTP_LISTEN``. It does not relay: a recipient is the report address
of an account, or unknown. A mail is acknowledged after it is committed for that recipient.
"""

import asyncio
import errno
import fcntl
import logging
import os
import re
import signal
import socket
import stat
import sys
from typing import Any

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from app import settings
from app.errors import QuotaExceeded, ServiceUnavailable
from app.listen_address import Listen
from app.protocols.report_formats.limits import LIMITS
from app.services.ingest import authenticity, files, tokens
from app.services.ingest.authenticity import SenderMetadata
from app.services.ingest.tokens import Sender
from worker.mail_rates import MailRates

logger = logging.getLogger(__name__)

MAX_CONNECTIONS, MAX_RECIPIENTS, MAX_COMMANDS = 100, 50, 1_000
MAX_LINE = 1024 * 1024  # bytes; some senders write a whole attachment in one line
IDLE_SECONDS = 60
ANSWER_SECONDS = 2.0  # that another process at the same socket has to answer

_RECIPIENT = re.compile(r"<?r-([0-9A-Za-z]{22})@[^\s@<>]{1,253}>?")

UNKNOWN = "550 5.1.1 Unknown report address"
TOO_MANY = "452 4.5.3 Too many recipients for one message"
UNAVAILABLE = "451 4.3.0 The message cannot be stored now; try again later"
FULL = "452 4.2.2 The daily report quota of the account is used up; try again tomorrow"
ACCEPTED = "250 2.0.0 Message stored"
TOO_FAST = "451 4.7.1 Too many messages per minute; try again later"
BUSY = b"421 4.3.2 Too many connections; try again later\r\n"


class ReportHandler:
    """The handlers of RCPT and DATA; they return SMTP replies."""

    def __init__(self, rates: MailRates) -> None:
        self._rates = rates

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept only report addresses of accounts."""
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return TOO_MANY
        try:
            sender = await asyncio.to_thread(_sender, address)
        except ServiceUnavailable:
            return UNAVAILABLE
        if sender is None:
            return UNKNOWN
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Store the mail for each recipient; LMTP has one reply for each (RFC 2033 §4.2)."""
        raw = envelope.content
        if not isinstance(raw, bytes):  # aiosmtpd decodes content only on request
            raise TypeError("the message content must be bytes")
        metadata: SenderMetadata = {
            "mailFrom": (envelope.mail_from or "")[:320],
            "peer": str(session.peer)[:64],
            "peerAddress": _address(session),
            **authenticity.received_by(settings.current().trusted_authserv_ids),
        }
        replies = [
            await asyncio.to_thread(_store, address, raw, metadata, self._rates)
            for address in envelope.rcpt_tos
        ]
        if isinstance(server, LMTP):
            return "\r\n".join(replies)
        return next((reply for reply in replies if reply != ACCEPTED), ACCEPTED)


def _address(session: Session) -> str:
    """Return the IP address of the client; empty for a Unix socket."""
    return str(session.peer[0]) if isinstance(session.peer, tuple) else ""


def _sender(address: str) -> Sender | None:
    match = _RECIPIENT.fullmatch(address)
    return tokens.resolve(match[1]) if match else None


def _store(address: str, raw: bytes, sender_metadata: SenderMetadata, rates: MailRates) -> str:
    try:
        sender = _sender(address)
        if sender is None:  # it was revoked in the meantime
            return UNKNOWN
        if not rates.is_within(sender.account_id, sender_metadata):
            return TOO_FAST
        files.store(sender.account_id, raw, received_via="mail", sender_metadata=sender_metadata)
    except QuotaExceeded:
        return FULL
    except ServiceUnavailable:
        return UNAVAILABLE
    return ACCEPTED


class _Bounded:
    """A limit on the concurrent connections of the listener."""

    open = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if _Bounded.open >= MAX_CONNECTIONS and isinstance(transport, asyncio.WriteTransport):
            transport.write(BUSY)
            transport.close()
            self._is_counted = False
            return
        _Bounded.open += 1
        self._is_counted = True
        super().connection_made(transport)  # type: ignore[misc]  # of SMTP, which is mixed in

    def connection_lost(self, error: Exception | None) -> None:
        if self._is_counted:
            _Bounded.open -= 1
            super().connection_lost(error)  # type: ignore[misc]


class _Smtp(_Bounded, SMTP):
    """A connection that speaks SMTP."""

    line_length_limit = MAX_LINE


class _Lmtp(_Bounded, LMTP):
    """A connection that speaks LMTP: a reply about a whole mail is sent for each recipient."""

    line_length_limit = MAX_LINE
    _is_data = False

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        self._is_data = True
        try:
            await super().smtp_DATA(arg)
        finally:
            self._is_data = False

    async def push(self, status: Any) -> None:
        recipients = len(self.envelope.rcpt_tos) if self.envelope else 0
        if self._is_data and recipients > 1 and "\r\n" not in status and status[:3] != "354":
            status = "\r\n".join([status] * recipients)
        await super().push(status)


class AddressInUse(Exception):
    """Another process uses the address of the listener."""


async def serve(listen: Listen) -> asyncio.Server:
    """Start the listener.

    raises  AddressInUse
    """
    loop = asyncio.get_running_loop()
    rates = MailRates()

    def connection() -> SMTP:
        kind = _Lmtp if listen.is_lmtp else _Smtp
        return kind(
            ReportHandler(rates),
            data_size_limit=LIMITS.message,
            ident="reports",
            timeout=IDLE_SECONDS,
            command_call_limit=MAX_COMMANDS,
            loop=loop,
        )

    if listen.path:
        return await loop.create_unix_server(connection, sock=_unix_socket(listen.path))
    try:
        return await loop.create_server(connection, listen.host, listen.port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise AddressInUse(f"{listen} is in use by another process") from None


def _unix_socket(path: str) -> socket.socket:
    """Return a listening socket; the socket file of an ended process is replaced.

    asyncio alone would also replace a socket that another process still uses.

    raises  AddressInUse
    """
    own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)  # two processes that start at the same time
        _remove_stale(path)
        own.bind(path)
        own.listen()
    except BaseException:
        own.close()
        raise
    finally:
        os.close(directory)
    return own


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise AddressInUse(f"{path} exists and is not a socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(ANSWER_SECONDS)
            probe.connect(path)
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        os.unlink(path)
        return
    except (TimeoutError, BlockingIOError):
        pass  # the other process is busy
    raise AddressInUse(f"another process listens on {path}; stop it first")


async def run(listen: Listen) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await serve(listen)
    logger.info("SMTP/LMTP listener started", extra={"where": str(listen)})
    await stop.wait()
    server.close()


def main() -> int:
    """Run the listener until SIGTERM or SIGINT; return 2 if SMTP_LISTEN is not set or in use."""
    listen = settings.current().smtp_listen
    if listen is None:
        sys.stderr.write(
            "SMTP_LISTEN is not set. Set the address of the listener, like lmtp:///run/reports.sock.\n"
        )
        return 2
    try:
        asyncio.run(run(listen))
    except AddressInUse as error:
        sys.stderr.write(f"SMTP_LISTEN: {error}.\n")
        return 2
    return 0

"""``python -m worker lmtp``: takes mails with reports in from a mail server, by LMTP or SMTP.

Off unless ``SMTP_LISTEN`` says where. There is no relaying: a recipient is the address of an
account's token, or unknown. A mail is acknowledged once it is committed for that recipient.
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
from app.services.ingest.tokens import Sender
from worker.mail_rates import MailRates

logger = logging.getLogger(__name__)

MAX_CONNECTIONS, MAX_RECIPIENTS, MAX_COMMANDS = 100, 50, 1_000
IDLE_SECONDS = 60
ANSWER_SECONDS = 2.0  # for another process at our socket

_RECIPIENT = re.compile(r"<?r-([0-9A-Za-z]{22})@[^\s@<>]{1,253}>?")

UNKNOWN = "550 5.1.1 There is no such address for reports"
TOO_MANY = "452 4.5.3 That are too many recipients for one mail"
UNAVAILABLE = "451 4.3.0 The mail cannot be kept now; try again later"
FULL = "452 4.2.2 The account has sent as many reports as it may in one day"
ACCEPTED = "250 2.0.0 The mail is kept"
TOO_FAST = "451 4.7.1 Too many mails in one minute; try again later"
BUSY = b"421 4.3.2 There are too many connections; try again later\r\n"


class ReportHandler:
    """What becomes of recipients and mails; replies are those of SMTP."""

    def __init__(self, rates: MailRates) -> None:
        self._rates = rates

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept only addresses of accounts."""
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
        """Keep the mail for each recipient; LMTP has one reply for each (RFC 2033 §4.2)."""
        raw = envelope.content
        assert isinstance(raw, bytes)
        claims = {
            "mailFrom": (envelope.mail_from or "")[:320],
            "peer": str(session.peer)[:64],
            "peerAddress": _address(session),
            **authenticity.received_by(settings.current().trusted_authserv_ids),
        }
        replies = [
            await asyncio.to_thread(_store, address, raw, claims, self._rates)
            for address in envelope.rcpt_tos
        ]
        if isinstance(server, LMTP):
            return "\r\n".join(replies)
        return next((reply for reply in replies if reply != ACCEPTED), ACCEPTED)


def _address(session: Session) -> str:
    """The IP address of the client; empty at a Unix socket."""
    return str(session.peer[0]) if isinstance(session.peer, tuple) else ""


def _sender(address: str) -> Sender | None:
    found = _RECIPIENT.fullmatch(address)
    return tokens.resolve(found[1]) if found else None


def _store(address: str, raw: bytes, claims: dict[str, Any], rates: MailRates) -> str:
    try:
        sender = _sender(address)
        if sender is None:  # it was revoked a moment ago
            return UNKNOWN
        if not rates.is_within(sender.account_id, claims):
            return TOO_FAST
        files.store(sender.account_id, raw, received_via="mail", claims=claims)
    except QuotaExceeded:
        return FULL
    except ServiceUnavailable:
        return UNAVAILABLE
    return ACCEPTED


class _Bounded:
    """As many connections at a time as there may be; for all of one listener."""

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


class _Lmtp(_Bounded, LMTP):
    """A connection that speaks LMTP: what is said of a whole mail is said for each recipient."""

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
    """Mails cannot be taken in there, for somebody else is."""


async def serve(listen: Listen) -> asyncio.Server:
    """A listener that takes mails in.

    raises  Taken
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
        raise AddressInUse(f"somebody listens at {listen} already") from None


def _unix_socket(path: str) -> socket.socket:
    """A socket that listens there, in place of one that nobody answers at.

    The loop itself would take the place of one that is alive, without a word to either.

    raises  Taken
    """
    own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)  # of two that start at once one is the second
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
            raise AddressInUse(f"{path} is there, and is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(ANSWER_SECONDS)
            probe.connect(path)
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        os.unlink(path)
        return
    except (TimeoutError, BlockingIOError):
        pass  # whoever has it is busy
    raise AddressInUse(f"another process takes mails in at {path}; end it first")


async def run(listen: Listen) -> None:
    """Serve until SIGTERM or SIGINT."""
    is_over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, is_over.set)
    server = await serve(listen)
    logger.info("listening for mails", extra={"where": str(listen)})
    await is_over.wait()
    server.close()


def main() -> int:
    """Take mails in until SIGTERM or SIGINT. Exit status 2 if SMTP_LISTEN is not set, or taken."""
    listen = settings.current().smtp_listen
    if listen is None:
        sys.stderr.write("SMTP_LISTEN is missing: it says where mails are taken in.\n")
        return 2
    try:
        asyncio.run(run(listen))
    except AddressInUse as error:
        sys.stderr.write(f"SMTP_LISTEN: {error}.\n")
        return 2
    return 0

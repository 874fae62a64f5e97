"""Messages in a POP3 mailbox (RFC 1939), over TLS only.

A stored message is deleted, or stays on the server. The server deletes messages when the session
ends without an error, so that a process that is killed deletes none. The client is ours because
``poplib`` refuses lines of more than 2,048 octets, which real emails have.
"""

import base64
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, ClassVar

from app.mailboxes.bounded_socket import ReceiveLimit, StartTls, TlsConnector
from app.mailboxes.config import MailboxConfig
from app.mailboxes.types import Access, MailboxError, MessageError, WaitingMessage
from app.options import certificates, fields
from app.options.fields import OptionError
from app.protocols.report_formats.limits import LIMITS

IDLE_SECONDS = 10.0  # without data from the server
MAX_SECONDS = 20.0  # in total, for a server that never finishes
MAX_LIST = 10 * 1024 * 1024  # bytes of the list of unique ids, or of sizes
PORTS = {"tls": 995, "starttls": 110}
_MAX_STATUS = 4096  # bytes of a response of one line
_OVERHEAD = 256 * 1024  # of a response in addition to the message, for lines that begin with a dot

_STLS = StartTls(  # RFC 2595 §4
    protocol="a POP3", greeting=b"+OK", command=b"STLS", tag=b"", success=b"+OK"
)
_UNIQUE_ID = re.compile(r"[!-~]{1,70}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pop3Config(MailboxConfig):
    """A mailbox on a POP3 server, with a user name and a password.

    ca_certificates  the only trusted authorities (PEM); by default, those of this machine
    """

    type: ClassVar[str] = "pop3"
    label: ClassVar[str] = "POP3"
    description: ClassVar[str] = (
        "A mail server that has no IMAP. All emails of the mailbox are fetched."
    )

    host: str = fields.host("POP3 server", placeholder="pop.example.com")
    security: str = fields.choice(
        "Encryption",
        {"tls": "TLS (port 995)", "starttls": "STARTTLS (port 110)"},
        default="tls",
        is_bound=True,
    )
    port: int | None = fields.port()
    username: str = fields.text("User name", most=320, is_bound=True)
    password: str = fields.secret("Password", most=500)
    after_import: str = fields.choice(
        "Imported emails",
        {"keep": "Stay on the server", "delete": "Are deleted from the server"},
        default="keep",
    )
    ca_certificates: str = certificates.option()

    @property
    def title(self) -> str:
        return self.username

    @property
    def location(self) -> str:
        return self.host

    def problems(self) -> Iterator[OptionError]:
        """Yield what is wrong with the certificates."""
        yield from certificates.problems("ca_certificates", self.ca_certificates)

    @contextmanager
    def opened(self, access: Access) -> Iterator["Pop3Mailbox"]:
        """Sign in; at the end of the block, the server deletes imported messages.

        raises  MailboxError, also within the block if it takes longer than MAX_SECONDS
        """
        limit = ReceiveLimit(
            idle_seconds=IDLE_SECONDS, total_seconds=MAX_SECONDS, size_bytes=_MAX_STATUS
        )
        address = access.address(self.host)
        with _failures():
            connection = _connected(self, access.context, limit, address)
        with closing(connection), connection.makefile("rb") as file:
            with _failures():
                session = _Session(file, connection, limit)
                session.log_in(_checked(self.username), _checked(self.password))
                mailbox = Pop3Mailbox(session, self)
            try:
                yield mailbox
            except MailboxError:
                raise  # the connection cannot be used any longer
            except BaseException:
                _quit(session)
                raise
            _quit(session)


class _Session:
    """The commands of a connection and their responses."""

    def __init__(self, file: BinaryIO, connection: socket.socket, limit: ReceiveLimit) -> None:
        self._file, self._connection, self._limit = file, connection, limit
        self._limit.allow(_MAX_STATUS)
        self._status()

    def command(self, words: str, response_bytes: int = 0) -> None:
        """Send a command, and read the first line of its response.

        response_bytes  how much the server may send in addition to that line
        raises          MessageError with the words of a server that refuses; OSError
        """
        self._limit.allow(_MAX_STATUS + response_bytes)
        self._connection.sendall(words.encode() + b"\r\n")
        self._status()

    def log_in(self, username: str, password: str) -> None:
        """Authenticate with USER and PASS, or with PLAIN if they are not ASCII (RFC 5034)."""
        if (username + password).isascii():
            self.command(f"USER {username}")
            self.command(f"PASS {password}")
        else:
            response = base64.b64encode(f"\0{username}\0{password}".encode()).decode()
            self.command(f"AUTH PLAIN {response}")

    def listing(self, command: str) -> dict[int, str]:
        """Return what a list of messages has for each message number."""
        self.command(command, MAX_LIST)
        values = {}
        for line in self.lines():
            number, _, value = line.decode("ascii", "replace").strip().partition(" ")
            if not (number.isascii() and number.isdigit() and value):
                raise MailboxError("the server sent a malformed response")
            values[int(number)] = value
        return values

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of a response with several lines, without the added dots."""
        while (line := self._file.readline()) not in (b".\r\n", b".\n"):
            if not line.endswith(b"\n"):
                raise OSError("the server closed the connection")
            yield line.removeprefix(b".")

    def _status(self) -> None:
        line = self._file.readline(_MAX_STATUS)
        if line.startswith(b"-ERR"):
            raise MessageError(_words(line.removeprefix(b"-ERR")) or "the server refused it")
        if not line:
            raise OSError("the server closed the connection")
        if not (line.startswith(b"+OK") and line.endswith(b"\n")):
            raise MailboxError("the server sent a malformed response")


class Pop3Mailbox:
    """The messages of a POP3 mailbox, as a ``Mailbox``.

    read_count  None, as POP3 does not know read messages
    """

    read_count: int | None = None

    def __init__(self, session: _Session, config: Pop3Config) -> None:
        self._session, self._config = session, config
        self._unique_ids = _unique_ids(session)

    @property
    def keeps_messages(self) -> bool:
        """Whether imported messages stay on the server."""
        return self._config.after_import == "keep"

    @property
    def message_count(self) -> int:
        """The number of messages in the mailbox."""
        return len(self._unique_ids)

    def messages(self) -> Iterator[WaitingMessage]:
        """Yield all messages, oldest first; raises MailboxError."""
        with _failures():
            sizes = self._session.listing("LIST")
        for number, unique_id in sorted(self._unique_ids.items()):
            yield WaitingMessage(
                key=unique_id,
                name=unique_id,
                size=partial(_size, sizes, number),
                read=partial(self._read, number),
                acknowledge=partial(self._acknowledge, number),
            )

    def test(self) -> None:
        """Do nothing, because signing in has read the list of messages."""

    def _read(self, number: int) -> bytes:
        with _failures(MessageError):
            self._session.command(f"RETR {number}", LIMITS.message + _OVERHEAD)
            return b"".join(self._session.lines())

    def _acknowledge(self, number: int) -> None:
        if not self.keeps_messages:
            with _failures(MessageError):
                self._session.command(f"DELE {number}")


def _connected(
    config: Pop3Config, context: ssl.SSLContext | None, limit: ReceiveLimit, address: str
) -> ssl.SSLSocket:
    context = context or ssl.create_default_context(cadata=config.ca_certificates or None)
    start = _STLS if config.security == "starttls" else None
    connector = TlsConnector(context, limit, config.host, start)
    port = config.port or PORTS[config.security]
    return connector.wrap_socket(socket.create_connection((address, port), IDLE_SECONDS))


def _quit(session: _Session) -> None:
    """End the session, which deletes the acknowledged messages.

    raises  MailboxError if the server did not delete them
    """
    try:
        with _failures(MessageError):
            session.command("QUIT")
    except MailboxError as error:
        raise MailboxError(f"imported messages cannot be deleted: {error}") from None


def _unique_ids(session: _Session) -> dict[int, str]:
    """Return the unique ids by message number.

    raises  MailboxError
    """
    try:
        unique_ids = session.listing("UIDL")
    except MessageError as error:
        raise MailboxError(f"the server has no unique ids of messages (UIDL): {error}") from None
    if not all(_UNIQUE_ID.fullmatch(unique_id) for unique_id in unique_ids.values()):
        raise MailboxError("the server sent a malformed response")
    return unique_ids


def _size(sizes: Mapping[int, str], number: int) -> int:
    size = sizes.get(number, "").partition(" ")[0]
    if not (size.isascii() and size.isdigit() and len(size) < 20):
        raise MessageError("the server did not report the size of a message")
    return int(size)


def _checked(text: str) -> str:
    """Return the text, which ends no line.

    raises  MailboxError
    """
    if not text.isprintable():
        raise MailboxError("user names and passwords must be printable")
    return text


@contextmanager
def _failures(refusal: type[MailboxError] = MailboxError) -> Iterator[None]:
    """Raise every error of the connection as MailboxError.

    refusal  the exception for a command that the server refused
    """
    try:
        yield
    except MessageError as error:
        raise refusal(str(error)) from None
    except (OSError, ValueError) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise MailboxError(text or type(error).__name__) from None


def _words(line: bytes) -> str:
    """Return what the server says, without characters that cannot be printed."""
    text = line.decode("utf-8", "replace").strip()
    return "".join(character if character.isprintable() else "�" for character in text)[:300]

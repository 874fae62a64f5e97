"""Messages in a folder of an IMAP mailbox (RFC 3501), over TLS only.

A stored message is marked as seen, or moved if the mailbox has a folder for that; until then it is
offered again. Sizes are queried before messages are fetched, and the socket limits what a server
can send, because neither a size nor the announced length of a literal can be trusted. A server that
refuses a command for one message can still be used; after a malformed response it cannot.
"""

import logging
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple, Protocol

from imapclient import IMAPClient
from imapclient.exceptions import (
    IMAPClientAbortError,
    IMAPClientError,
    LoginError,
    ProtocolError,
)

from app.mailboxes.bounded_socket import ReceiveLimit, StartTls, TlsConnector
from app.mailboxes.config import MailboxConfig
from app.mailboxes.emails import ALL, UNREAD, Places
from app.mailboxes.types import Access, MailboxError, MessageError, WaitingMessage
from app.options import certificates, fields
from app.options.fields import OptionError
from app.protocols.report_formats.limits import LIMITS

IDLE_SECONDS = 10.0  # without data from the server
MAX_SECONDS = 20.0  # in total, for a server that never finishes
MAX_RESPONSE = 2 * 1024 * 1024  # of each command other than the one that fetches a message
_OVERHEAD = 64 * 1024  # of a response in addition to the message

_STARTTLS = StartTls(  # RFC 3501 §6.2; servers send no greeting after it
    protocol="an IMAP", greeting=b"* OK", command=b"tls STARTTLS", tag=b"tls ", success=b"OK"
)

# What IMAPClient raises for malformed responses.
_MALFORMED = (ProtocolError, TypeError, AttributeError, LookupError, RecursionError)
# What reading a literal raises if its announced length exceeds the memory or an integer.
_TOO_LONG = (MemoryError, OverflowError)
_COMMAND = re.compile(r"^\w+ failed: ")  # what IMAPClient puts before the text of the server

logging.getLogger("imapclient").setLevel(logging.WARNING)  # below, it logs messages


PORTS = {"tls": 993, "starttls": 143}
FOLDERS = Places(
    name="folder",
    imported_hint="Imported emails are moved to this folder. Without it, they stay and are marked "
    "as read.",
    is_case_relevant=True,
)


class Server(NamedTuple):
    """An IMAP server; ``ca_certificates`` (PEM) replace the authorities of this machine."""

    host: str
    port: int
    security: str = "tls"
    ca_certificates: str = ""


class FolderOptions(Protocol):
    """The options of every type of IMAP mailbox.

    done_folder  folder for stored messages; without one they stay and are marked as seen
    messages     ``unread`` or ``all``
    """

    @property
    def folder(self) -> str:
        """The folder that reports arrive in."""

    @property
    def messages(self) -> str:
        """Which messages are fetched."""

    @property
    def done_folder(self) -> str:
        """The folder for stored messages."""

    @property
    def missing_folder(self) -> str:
        """``create`` to create that folder if it is missing."""


class LoginRefused(MailboxError):
    """The server refused the user name, or the password or token."""


def folder_problems(config: FolderOptions) -> Iterator[OptionError]:
    """Yield what is wrong with the folders."""
    done = ("done_folder", config.done_folder)
    return FOLDERS.problems(config.messages, config.folder, done)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImapConfig(MailboxConfig):
    """A folder on an IMAP server, with a user name and a password."""

    type: ClassVar[str] = "imap"
    label: ClassVar[str] = "IMAP"
    description: ClassVar[str] = "A mail server with a user name and a password."

    host: str = fields.host("IMAP server", placeholder="imap.example.com")
    security: str = fields.choice(
        "Encryption",
        {"tls": "TLS (port 993)", "starttls": "STARTTLS (port 143)"},
        default="tls",
        is_bound=True,
    )
    port: int | None = fields.port()
    username: str = fields.text("User name", most=320, is_bound=True)
    password: str = fields.secret("Password", most=500)
    folder: str = FOLDERS.source(default="INBOX")
    messages: str = FOLDERS.messages()
    done_folder: str = FOLDERS.done()
    missing_folder: str = FOLDERS.missing()
    ca_certificates: str = certificates.option()

    @property
    def title(self) -> str:
        return self.username

    @property
    def location(self) -> str:
        return f"{self.host}, {self.folder}"

    def problems(self) -> Iterator[OptionError]:
        """Yield what is wrong with the folders and the certificates."""
        yield from folder_problems(self)
        yield from certificates.problems("ca_certificates", self.ca_certificates)

    @contextmanager
    def opened(self, access: Access) -> Iterator["ImapMailbox"]:
        """Sign in and open the folder; raises MailboxError."""
        port = self.port or PORTS[self.security]
        server = Server(
            host=self.host,
            port=port,
            security=self.security,
            ca_certificates=self.ca_certificates,
        )
        sign_in = partial(_log_in, username=self.username, password=self.password)
        with opened(server, access, self, sign_in) as mailbox:
            yield mailbox


class Folder(NamedTuple):
    """An open folder.

    message_count  the number of messages; None if the server did not report it
    validity       with a UID, it identifies a message forever (RFC 3501 §2.3.1.1)
    """

    message_count: int | None
    validity: int | None


class ImapMailbox:
    """An open folder of an IMAP mailbox, as a ``Mailbox``."""

    keeps_messages = False

    def __init__(
        self, client: Any, limit: ReceiveLimit, config: FolderOptions, folder: Folder
    ) -> None:
        self._client, self._limit, self._config, self._folder = client, limit, config, folder
        self._unread_count = 0

    @property
    def message_count(self) -> int | None:
        """The number of messages in the folder; None if the server did not report it."""
        return self._folder.message_count

    @property
    def read_count(self) -> int | None:
        """The number of messages that ``messages`` left out because they are marked as seen."""
        if self.message_count is None or self._config.messages == ALL:
            return None
        return max(0, self.message_count - self._unread_count)

    def messages(self) -> Iterator[WaitingMessage]:
        """Yield the messages that were not stored yet, oldest first.

        raises  MailboxError
        """
        criteria = ["UNSEEN", "UNDELETED"] if self._config.messages == UNREAD else ["UNDELETED"]
        with self._command():
            uids = self._client.search(criteria)
        self._unread_count = len(uids)
        for uid in sorted(uids):
            yield WaitingMessage(
                key=f"{self._config.folder}/{self._folder.validity}/{uid}",
                name=f"{self._config.folder} {uid}",
                size=partial(self._size, uid),
                read=partial(self._read, uid),
                acknowledge=partial(self._acknowledge, uid),
            )

    def test(self) -> None:
        """Look for the folder for stored messages, and create it if the mailbox is set up so.

        raises  MailboxError with the words of the server
        """
        folder = self._config.done_folder
        if not folder:
            return
        try:
            with self._command():
                self._client.folder_status(folder, ["MESSAGES"])
        except MessageError as error:
            if self._config.missing_folder != "create":
                raise MailboxError(f"folder {folder} cannot be used: {error}") from None
        else:
            return
        try:
            with self._command():
                self._client.create_folder(folder)
        except MessageError as error:
            raise MailboxError(f"folder {folder} cannot be created: {error}") from None

    def _size(self, uid: int) -> int:
        with self._command():
            size = self._client.fetch([uid], ["RFC822.SIZE"]).get(uid, {}).get(b"RFC822.SIZE")
        if not isinstance(size, int):
            raise MessageError("the server did not report the size of a message")
        return size

    def _read(self, uid: int) -> bytes:
        with self._command(LIMITS.message + _OVERHEAD):
            content = self._client.fetch([uid], ["BODY.PEEK[]"]).get(uid, {}).get(b"BODY[]")
        if not isinstance(content, bytes):
            raise MessageError("the server did not return the message")
        return content

    def _acknowledge(self, uid: int) -> None:
        folder, client = self._config.done_folder, self._client
        with self._command():
            if not folder:
                client.add_flags([uid], [r"\Seen"], silent=True)
            elif client.has_capability("MOVE"):
                client.move([uid], folder)
            else:
                client.copy([uid], folder)
                client.delete_messages([uid], silent=True)
                if client.has_capability("UIDPLUS"):
                    client.uid_expunge([uid])  # only this one: other clients may have marked others

    @contextmanager
    def _command(self, response_bytes: int = MAX_RESPONSE) -> Iterator[None]:
        self._limit.allow(response_bytes)
        with _failures(MessageError):
            yield


@contextmanager
def opened(
    server: Server, access: Access, config: FolderOptions, sign_in: Callable[[Any], None]
) -> Iterator[ImapMailbox]:
    """Connect with TLS, sign in and open the folder, until the end of the block.

    sign_in  is called with the client
    raises   LoginRefused; MailboxError, also within the block if it takes longer than MAX_SECONDS
    """
    limit = ReceiveLimit(
        idle_seconds=IDLE_SECONDS, total_seconds=MAX_SECONDS, size_bytes=MAX_RESPONSE
    )
    address = access.address(server.host)
    with _failures():
        trusted = server.ca_certificates or None
        context = access.context or ssl.create_default_context(cadata=trusted)
        start = _STARTTLS if server.security == "starttls" else None
        connector = TlsConnector(context, limit, server.host, start)
        client = IMAPClient(
            address, server.port, ssl=True, ssl_context=connector, timeout=IDLE_SECONDS
        )
    with client:
        limit.allow(MAX_RESPONSE)
        with _failures(LoginRefused):
            sign_in(client)
        with _failures():
            folder = _select(client, config.folder, access.is_readonly)
        yield ImapMailbox(client, limit, config, folder)


def _log_in(client: Any, username: str, password: str) -> None:
    """Authenticate with LOGIN, or with PLAIN if the credentials are not ASCII (RFC 4616)."""
    if (username + password).isascii():
        client.login(quoted(username), password)
    else:
        client.plain_login(username, password)


def authenticate(client: Any, username: str, token: str) -> None:
    """Authenticate with an access token: OAUTHBEARER (RFC 7628), or XOAUTH2 without it."""
    if client.has_capability("AUTH=OAUTHBEARER"):
        client.oauthbearer_login(username, token)
    else:
        client.oauth2_login(username, token)


def _select(client: Any, folder: str, is_readonly: bool) -> Folder:
    """Open the folder."""
    try:
        response = client.select_folder(folder, is_readonly)
    except IMAPClientAbortError:
        raise
    except IMAPClientError as error:
        raise MailboxError(f"folder {folder} cannot be opened: {_reason(error)}") from None
    count, validity = response.get(b"EXISTS"), response.get(b"UIDVALIDITY")
    return Folder(
        count if isinstance(count, int) else None, validity if isinstance(validity, int) else None
    )


def quoted(text: str) -> str:
    """Return the text as an IMAP quoted string (RFC 3501 §9).

    raises  MailboxError if the text has other characters than printable ASCII
    """
    if not (text.isascii() and text.isprintable()):
        raise MailboxError("user names must be printable ASCII")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@contextmanager
def _failures(refusal: type[MailboxError] = MailboxError) -> Iterator[None]:
    """Raise every error of the client as MailboxError.

    refusal  the exception for a command that the server refused
    """
    try:
        yield
    except _TOO_LONG:
        raise MailboxError("the server sent more than the maximum message size") from None
    except _MALFORMED:
        raise MailboxError("the server sent a malformed response") from None
    except (IMAPClientAbortError, OSError, ValueError) as error:
        raise MailboxError(_reason(error)) from None
    except IMAPClientError as error:
        raise refusal(_reason(error)) from None


def _reason(error: Exception) -> str:
    """Return the error as text for people, without characters that cannot be printed."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, LoginError) and error.__context__ is not None:
        error = error.__context__  # has the server's text, which LoginError quotes
    message = error.args[0] if error.args else ""
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
    text = "".join(character if character.isprintable() else "�" for character in text)
    return _COMMAND.sub("", text, count=1)[:300] or type(error).__name__

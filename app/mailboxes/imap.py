"""Messages in a folder of an IMAP mailbox (RFC 3501), over TLS only.

A stored message is marked as seen, or moved if the mailbox has a folder for that; until then it is
offered again. Sizes are queried before messages are fetched, and the socket limits what a server
can send, because neither a size nor the announced length of a literal can be trusted. A server that
refuses a command for one message can still be used; after a malformed response it cannot.
"""

import logging
import re
import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from imapclient import IMAPClient
from imapclient.exceptions import (
    IMAPClientAbortError,
    IMAPClientError,
    LoginError,
    ProtocolError,
)

from app.mailboxes.bounded_socket import ReceiveLimit, TlsConnector
from app.mailboxes.types import MailboxError, MessageError, WaitingMessage
from app.protocols.report_formats.limits import LIMITS

IDLE_SECONDS = 10.0  # without data from the server
MAX_SECONDS = 20.0  # in total, for a server that never finishes
MAX_RESPONSE = 2 * 1024 * 1024  # of each command other than the one that fetches a message
_OVERHEAD = 64 * 1024  # of a response in addition to the message

# What IMAPClient raises for malformed responses.
_MALFORMED = (ProtocolError, TypeError, AttributeError, LookupError, RecursionError)
# What reading a literal raises if its announced length exceeds the memory or an integer.
_TOO_LONG = (MemoryError, OverflowError)
_COMMAND = re.compile(r"^\w+ failed: ")  # what IMAPClient puts before the text of the server

logging.getLogger("imapclient").setLevel(logging.WARNING)  # below, it logs messages


@dataclass(frozen=True, slots=True)
class Account:
    """The location and credentials of a mailbox.

    done_folder      folder for stored messages; without one they stay and are marked as seen
    security         ``tls`` from the beginning, or ``starttls``
    ca_certificates  the only trusted authorities (PEM); by default, those of this machine
    only_unread      leave read messages alone; always so without ``done_folder``
    """

    host: str
    port: int
    username: str
    password: str
    folder: str = "INBOX"
    done_folder: str | None = None
    security: str = "tls"
    ca_certificates: str | None = None
    only_unread: bool = False

    @property
    def skips_read(self) -> bool:
        """Whether messages that are marked as seen are not fetched."""
        return self.only_unread or self.done_folder is None


class ImapMailbox:
    """An open folder of a mailbox.

    message_count  the number of messages in the folder; None if the server did not report it
    """

    def __init__(
        self, client: Any, limit: ReceiveLimit, account: Account, message_count: int | None
    ) -> None:
        self._client, self._limit, self._account = client, limit, account
        self.message_count, self._unread_count = message_count, 0

    @property
    def read_count(self) -> int | None:
        """The number of messages that ``waiting`` left out because they are marked as seen."""
        if self.message_count is None or not self._account.skips_read:
            return None
        return max(0, self.message_count - self._unread_count)

    def waiting(self, most: int, last: Collection[str] = ()) -> Iterator[WaitingMessage]:
        """Yield the messages that were not stored yet, oldest first.

        raises  MailboxError
        """
        criteria = ["UNSEEN", "UNDELETED"] if self._account.skips_read else ["UNDELETED"]
        with self._command():
            uids = self._client.search(criteria)
        self._unread_count = len(uids)
        for uid in sorted(uids, key=lambda uid: (self._name(uid) in last, uid))[:most]:
            yield WaitingMessage(
                name=self._name(uid),
                size=partial(self._size, uid),
                read=partial(self._read, uid),
                acknowledge=partial(self._acknowledge, uid),
            )

    def expect_done_folder(self, *, is_created: bool) -> None:
        """Check that the folder for stored messages exists.

        is_created  create it if it does not exist
        raises      MailboxError with the words of the server
        """
        folder = self._account.done_folder
        if folder is None:
            return
        try:
            with self._command():
                self._client.folder_status(folder, ["MESSAGES"])
        except MessageError as error:
            if not is_created:
                raise MailboxError(f"folder {folder} cannot be used: {error}") from None
        else:
            return
        try:
            with self._command():
                self._client.create_folder(folder)
        except MessageError as error:
            raise MailboxError(f"folder {folder} cannot be created: {error}") from None

    def _name(self, uid: int) -> str:
        return f"{self._account.folder} {uid}"

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
        folder, client = self._account.done_folder, self._client
        with self._command():
            if folder is None:
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
    account: Account,
    context: ssl.SSLContext | None = None,
    *,
    address: str | None = None,
    is_readonly: bool = False,
) -> Iterator[ImapMailbox]:
    """Open the folder of the account until the end of the block.

    context      TLS context; by default, certificates are verified as the account requires
    address      the address of the host; by default, the host is looked up
    is_readonly  nothing in the mailbox can be changed
    raises       MailboxError, also within the block if it takes longer than MAX_SECONDS
    """
    limit = ReceiveLimit(
        idle_seconds=IDLE_SECONDS, total_seconds=MAX_SECONDS, size_bytes=MAX_RESPONSE
    )
    with _failures():
        context = context or ssl.create_default_context(cadata=account.ca_certificates)
        connector = TlsConnector(context, limit, account.host, account.security == "starttls")
        client = IMAPClient(
            address or account.host,
            account.port,
            ssl=True,
            ssl_context=connector,
            timeout=IDLE_SECONDS,
        )
    with client:
        limit.allow(MAX_RESPONSE)
        with _failures():
            _log_in(client, account)
            message_count = _select(client, account.folder, is_readonly)
        yield ImapMailbox(client, limit, account, message_count)


def _log_in(client: Any, account: Account) -> None:
    """Authenticate with LOGIN, or with PLAIN if the credentials are not ASCII (RFC 4616)."""
    if (account.username + account.password).isascii():
        client.login(quoted(account.username), account.password)
    else:
        client.plain_login(account.username, account.password)


def _select(client: Any, folder: str, is_readonly: bool) -> int | None:
    """Open the folder, and return how many messages it has; None if the server does not say."""
    try:
        count = client.select_folder(folder, is_readonly).get(b"EXISTS")
    except IMAPClientAbortError:
        raise
    except IMAPClientError as error:
        raise MailboxError(f"folder {folder} cannot be opened: {_reason(error)}") from None
    return count if isinstance(count, int) else None


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

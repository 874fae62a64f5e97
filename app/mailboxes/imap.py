"""Messages in a folder of an IMAP mailbox (RFC 3501), over TLS only.

A stored message is marked as seen, or moved if the mailbox has a folder for that; until then it is
offered again. Sizes are queried before messages are fetched, and the socket limits what a server
can send, because neither a size nor the announced length of a literal can be trusted.
"""

import logging
import ssl
from collections.abc import Iterator
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

from app.mailboxes import bounded_socket
from app.mailboxes.bounded_socket import ReceiveLimit
from app.mailboxes.types import MailboxError, WaitingMessage
from app.protocols.report_formats.limits import LIMITS

IDLE_SECONDS = 10.0  # without data from the server
MAX_SECONDS = 20.0  # in total, for a server that never finishes
MAX_RESPONSE = 2 * 1024 * 1024  # of each command other than the one that fetches a message
_OVERHEAD = 64 * 1024  # of a response in addition to the message

# What IMAPClient raises for malformed responses.
_MALFORMED = (ProtocolError, TypeError, AttributeError, LookupError, RecursionError)
# What reading a literal raises if its announced length exceeds the memory or an integer.
_TOO_LONG = (MemoryError, OverflowError)

logging.getLogger("imapclient").setLevel(logging.WARNING)  # below, it logs messages


@dataclass(frozen=True, slots=True)
class Account:
    """The location and credentials of a mailbox.

    done_folder  folder for stored messages; without one they stay and are marked as seen
    """

    host: str
    port: int
    username: str
    password: str
    folder: str = "INBOX"
    done_folder: str | None = None


class ImapMailbox:
    """An open folder of a mailbox."""

    def __init__(self, client: Any, limit: ReceiveLimit, account: Account) -> None:
        self._client, self._limit, self._account = client, limit, account

    def waiting(self, most: int) -> Iterator[WaitingMessage]:
        """Yield the messages that were not stored yet, oldest first.

        raises  MailboxError
        """
        criteria = ["UNDELETED"] if self._account.done_folder else ["UNSEEN", "UNDELETED"]
        with self._command():
            uids = self._client.search(criteria)
        for uid in uids[:most]:
            yield WaitingMessage(
                name=f"{self._account.folder} {uid}",
                is_too_large=self._size(uid) > LIMITS.message,
                read=partial(self._read, uid),
                acknowledge=partial(self._acknowledge, uid),
            )

    def _size(self, uid: int) -> int:
        with self._command():
            size = self._client.fetch([uid], ["RFC822.SIZE"])[uid][b"RFC822.SIZE"]
        if not isinstance(size, int):
            raise MailboxError("the server did not report the size of a message")
        return size

    def _read(self, uid: int) -> bytes:
        with self._command(LIMITS.message + _OVERHEAD):
            content = self._client.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"]
        if not isinstance(content, bytes):
            raise MailboxError("the server did not return the message")
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
        with _failures():
            yield


@contextmanager
def opened(account: Account, context: ssl.SSLContext | None = None) -> Iterator[ImapMailbox]:
    """Open the folder of the account until the end of the block.

    context  TLS context; by default, certificates are verified with the roots of this machine
    raises   MailboxError, also within the block if it takes longer than MAX_SECONDS
    """
    context = context or ssl.create_default_context()
    limit = ReceiveLimit(
        idle_seconds=IDLE_SECONDS, total_seconds=MAX_SECONDS, size_bytes=MAX_RESPONSE
    )
    bounded_socket.limit_sockets(context, limit)
    with _failures():
        client = IMAPClient(
            account.host, account.port, ssl=True, ssl_context=context, timeout=IDLE_SECONDS
        )
    with client:
        limit.allow(MAX_RESPONSE)
        with _failures():
            _log_in(client, account)
            _select(client, account.folder)
        yield ImapMailbox(client, limit, account)


def _log_in(client: Any, account: Account) -> None:
    """Authenticate with LOGIN, or with PLAIN if the credentials are not ASCII (RFC 4616)."""
    if (account.username + account.password).isascii():
        client.login(quoted(account.username), account.password)
    else:
        client.plain_login(account.username, account.password)


def _select(client: Any, folder: str) -> None:
    try:
        client.select_folder(folder)
    except IMAPClientAbortError:
        raise
    except IMAPClientError:
        raise MailboxError(f"folder {folder} not found") from None


def quoted(text: str) -> str:
    """Return the text as an IMAP quoted string (RFC 3501 §9).

    raises  MailboxError if the text has other characters than printable ASCII
    """
    if not (text.isascii() and text.isprintable()):
        raise MailboxError("user names must be printable ASCII")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except _TOO_LONG:
        raise MailboxError("the server sent more than the maximum message size") from None
    except _MALFORMED:
        raise MailboxError("the server sent a malformed response") from None
    except (IMAPClientError, OSError, ValueError) as error:
        raise MailboxError(_reason(error)[:300] or type(error).__name__) from None


def _reason(error: Exception) -> str:
    """Return the error as text for people."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, LoginError) and error.__context__ is not None:
        error = error.__context__  # has the server's text, which LoginError quotes
    message = error.args[0] if error.args else ""
    return message.decode("ascii", "replace") if isinstance(message, bytes) else str(message)

"""Messages in a folder of an IMAP mailbox (RFC 3501), over TLS only.

A stored message is marked as seen, or moved if the mailbox has a folder for that; until then it is
offered again. Sizes are queried before anything is fetched, and are not trusted.
"""

import imaplib
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from app.mailboxes.types import MailboxError, WaitingMessage
from app.protocols.report_formats.limits import LIMITS

SECONDS = 10.0  # without data from the server
MAX_SECONDS = 20.0  # in total, for a server that never finishes
_SIZE = re.compile(rb"RFC822\.SIZE ([0-9]{1,12})")
_SLACK = 64 * 1024  # of an answer in addition to the message


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

    def __init__(self, connection: "_Connection", account: Account) -> None:
        self._connection, self._account = connection, account

    def waiting(self, most: int) -> Iterator[WaitingMessage]:
        """The messages that were not stored yet, oldest first.

        raises  MailboxError
        """
        criteria = "UNDELETED" if self._account.done_folder else "UNSEEN UNDELETED"
        answer = self._ask("SEARCH", criteria)
        uids = answer[0].split()[:most] if answer and isinstance(answer[0], bytes) else []
        for uid in (uid.decode("ascii", "replace") for uid in uids):
            yield WaitingMessage(
                name=f"{self._account.folder} {uid}",
                is_too_large=self._size(uid) > LIMITS.message,
                read=partial(self._read, uid),
                acknowledge=partial(self._acknowledge, uid),
            )

    def _size(self, uid: str) -> int:
        answer = self._ask("FETCH", uid, "(RFC822.SIZE)")
        text = b" ".join(part for part in answer if isinstance(part, bytes))
        match = _SIZE.search(text)
        if not match:
            raise MailboxError("the server did not report the size of a message")
        return int(match[1])

    def _read(self, uid: str) -> bytes:
        for part in self._ask("FETCH", uid, "(BODY.PEEK[])"):
            if isinstance(part, tuple) and isinstance(part[1], bytes):
                return part[1]
        raise MailboxError("the server did not return the message")

    def _acknowledge(self, uid: str) -> None:
        if self._account.done_folder is None:
            self._ask("STORE", uid, "+FLAGS.SILENT", r"(\Seen)")
            return
        folder = quoted(self._account.done_folder)
        if "MOVE" in self._connection.capabilities:
            self._ask("MOVE", uid, folder)
            return
        self._ask("COPY", uid, folder)
        self._ask("STORE", uid, "+FLAGS.SILENT", r"(\Deleted)")
        if "UIDPLUS" in self._connection.capabilities:
            self._ask("EXPUNGE", uid)  # only this message: other clients may have marked others

    def _ask(self, command: str, *words: str) -> list[bytes | tuple[bytes, bytes] | None]:
        with _failures():
            status, answer = self._connection.uid(command, *words)
        if status != "OK":
            raise MailboxError(f"the server answered {status} to {command}")
        return answer


@contextmanager
def opened(account: Account, context: ssl.SSLContext | None = None) -> Iterator[ImapMailbox]:
    """The folder of the account, open until the end of the block.

    context  TLS context; by default, certificates are verified with the roots of this machine
    raises   MailboxError, also within the block if it takes longer than MAX_SECONDS
    """
    with _failures():
        connection = _Connection(
            account.host,
            account.port,
            ssl_context=context or ssl.create_default_context(),
            timeout=SECONDS,
        )
    timer = threading.Timer(MAX_SECONDS, connection.give_up)
    timer.start()
    try:
        with _failures():
            connection.login(quoted(account.username), account.password)
            status, _ = connection.select(quoted(account.folder))
        if status != "OK":
            raise MailboxError(f"folder {account.folder} not found")
        yield ImapMailbox(connection, account)
    except MailboxError:
        if connection.is_given_up:
            reason = f"the server did not finish within {MAX_SECONDS:.0f} seconds"
            raise MailboxError(reason) from None
        raise
    finally:
        timer.cancel()
        try:
            connection.logout()
        except (imaplib.IMAP4.error, OSError):
            connection.shutdown()


def quoted(text: str) -> str:
    """The text as an IMAP quoted string (RFC 3501 §9).

    raises  MailboxError if the text has other characters than printable ASCII
    """
    if not (text.isascii() and text.isprintable()):
        raise MailboxError("user and folder names must be printable ASCII")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class _Connection(imaplib.IMAP4_SSL):
    """A connection that refuses answers longer than a message may be."""

    is_given_up = False

    def give_up(self) -> None:
        """Shut the connection down, which ends the read of another thread."""
        self.is_given_up = True
        with suppress(OSError):  # already closed
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def read(self, size: int) -> bytes:
        if size > LIMITS.message + _SLACK:
            raise self.abort("the server sent more than the maximum message size")
        return super().read(size)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (imaplib.IMAP4.error, OSError, ValueError) as error:
        raise MailboxError(_parse_words(error)[:300] or type(error).__name__) from None


def _parse_words(error: Exception) -> str:
    """The error as text for people."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    message = error.args[0] if error.args else ""
    return message.decode("ascii", "replace") if isinstance(message, bytes) else str(error)

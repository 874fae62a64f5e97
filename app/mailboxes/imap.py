"""Mails that wait in a folder of an IMAP mailbox (RFC 3501), by TLS only.

What is kept is marked as seen, or moved if the mailbox has a folder for that; only then is it not
offered again. Sizes are asked for before anything is fetched, and not believed.
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

SECONDS = 10.0  # that the server may be silent
MAX_SECONDS = 20.0  # in all, for one that is never silent, and never done
_SIZE = re.compile(rb"RFC822\.SIZE ([0-9]{1,12})")
_SLACK = 64 * 1024  # of an answer around a mail


@dataclass(frozen=True, slots=True)
class Account:
    """Where the mailbox is.

    done_folder  where mails go once they are kept; without one they stay, marked as seen
    """

    host: str
    port: int
    username: str
    password: str
    folder: str = "INBOX"
    done_folder: str | None = None


class ImapMailbox:
    """A folder that is open."""

    def __init__(self, connection: "_Connection", account: Account) -> None:
        self._connection, self._account = connection, account

    def waiting(self, most: int) -> Iterator[WaitingMessage]:
        """Those that were not kept yet, oldest first.

        raises  MailboxError
        """
        wanted = "UNDELETED" if self._account.done_folder else "UNSEEN UNDELETED"
        found = self._ask("SEARCH", wanted)
        uids = found[0].split()[:most] if found and isinstance(found[0], bytes) else []
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
        found = _SIZE.search(text)
        if not found:
            raise MailboxError("the server does not tell the size of a mail")
        return int(found[1])

    def _read(self, uid: str) -> bytes:
        for part in self._ask("FETCH", uid, "(BODY.PEEK[])"):
            if isinstance(part, tuple) and isinstance(part[1], bytes):
                return part[1]
        raise MailboxError("the server does not hand a mail out")

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
            self._ask("EXPUNGE", uid)  # only this one: others may have marked some for themselves

    def _ask(self, command: str, *words: str) -> list[bytes | tuple[bytes, bytes] | None]:
        with _failures():
            status, answer = self._connection.uid(command, *words)
        if status != "OK":
            raise MailboxError(f"{command} was answered {status}")
        return answer


@contextmanager
def opened(account: Account, context: ssl.SSLContext | None = None) -> Iterator[ImapMailbox]:
    """The folder of the account, until the end of the block.

    context  of TLS; by default certificates are checked against what this machine trusts
    raises   MailboxError, also in the middle of the block if it takes longer than MAX_SECONDS
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
            raise MailboxError(f"there is no folder {account.folder}")
        yield ImapMailbox(connection, account)
    except MailboxError:
        if connection.is_given_up:
            reason = f"the server was not done after {MAX_SECONDS:.0f} seconds"
            raise MailboxError(reason) from None
        raise
    finally:
        timer.cancel()
        try:
            connection.logout()
        except (imaplib.IMAP4.error, OSError):
            connection.shutdown()


def quoted(text: str) -> str:
    """A quoted string of IMAP (RFC 3501 §9).

    raises  MailboxError for what cannot be one
    """
    if not (text.isascii() and text.isprintable()):
        raise MailboxError("names of users and folders are printable ASCII")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class _Connection(imaplib.IMAP4_SSL):
    """A connection that takes no answer that is longer than a mail may be."""

    is_given_up = False

    def give_up(self) -> None:
        """End what another thread waits for: it reads the end of the connection."""
        self.is_given_up = True
        with suppress(OSError):  # it has ended by itself
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def read(self, size: int) -> bytes:
        if size > LIMITS.message + _SLACK:
            raise self.abort("the server sends more than a mail may have")
        return super().read(size)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (imaplib.IMAP4.error, OSError, ValueError) as error:
        raise MailboxError(_parse_words(error)[:300] or type(error).__name__) from None


def _parse_words(error: Exception) -> str:
    """What went wrong, as people say it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said = error.args[0] if error.args else ""
    return said.decode("ascii", "replace") if isinstance(said, bytes) else str(error)

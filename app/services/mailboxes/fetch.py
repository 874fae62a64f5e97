"""One fetch of a mailbox: messages are stored one by one, and each is marked once it is committed.

A message that cannot be imported is skipped with its reason, and tried last the next time, so that
it does not delay the others. If it breaks the connection, the fetch continues with a new one.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.errors import QuotaExceeded
from app.mailboxes.types import (
    Mailbox,
    MailboxError,
    MessageError,
    SignInRequired,
    WaitingMessage,
)
from app.models import ReportMailbox
from app.services.ingest import authenticity
from app.services.ingest.files import NewFile
from app.services.mailboxes import access, messages
from app.services.mailboxes.access import Connection

MAX_LISTED = 100_000  # messages of one fetch, including those that were imported before
MAX_MESSAGES = 500  # of one fetch
MAX_CONNECTIONS = 4  # of one fetch
MAX_REFUSALS = 10  # to mark or move a message, after which the fetch ends
MAX_SKIPPED = 1_000  # messages with their reasons
MAX_REASON = 300


@dataclass(frozen=True, slots=True)
class PollResult:
    """The result of one poll.

    failure              why the mailbox could not be polled; None if it was
    needs_sign_in        whether polls fail until a person changes the mailbox
    retry_after_seconds  how long the server asks clients to wait
    is_partial           whether the time was too short for all messages
    read_count           the number of read messages that were left alone, if the server reports it
    skipped              the messages that could not be imported, by their names, with the reason
    """

    imported_count: int = 0
    duplicate_count: int = 0
    too_large: int = 0
    failure: str | None = None
    needs_sign_in: bool = False
    retry_after_seconds: float | None = None
    is_partial: bool = False
    read_count: int | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)


class Fetch:
    """A fetch of one mailbox."""

    def __init__(self, mailbox: ReportMailbox) -> None:
        self._mailbox, self._before = mailbox, dict(mailbox.skipped or {})
        servers = [mailbox.authserv_id] if mailbox.authserv_id else []
        self._metadata = authenticity.received_by(servers)
        self._imported = self._duplicates = self._too_large = 0
        self._acknowledged = self._refusals = 0
        self._skipped: dict[str, str] = {}
        self._visited: set[str] = set()
        self._current: str | None = None
        self._failure: str | None = None
        self._error: MailboxError | None = None  # the last one that ended a connection
        self._read_count: int | None = None
        self._is_partial = False

    def run(
        self, connection: Connection, seconds: float, is_stopping: Callable[[], bool]
    ) -> PollResult:
        """Store the waiting messages, for about ``seconds``, and return what happened."""
        until = time.monotonic() + seconds

        def is_over() -> bool:
            return is_stopping() or time.monotonic() > until

        for _ in range(MAX_CONNECTIONS):
            try:
                with connection.opened() as source:
                    self._store_all(source, is_over)
                break
            except MailboxError as error:
                if self._ends_with(error):
                    break
                if time.monotonic() > until:
                    self._is_partial = True
                    break
            except QuotaExceeded as error:
                self._failure = error.message
                break
        else:
            self._is_partial = True
        return self._result()

    def _ends_with(self, error: MailboxError) -> bool:
        """Return whether the fetch ends with this error, and is not about the current message.

        A server that asks clients to wait has not failed if messages were stored before.
        """
        self._error = error
        if error.retry_after_seconds is not None:
            self._is_partial = True
            return True
        if self._current is None or isinstance(error, SignInRequired):
            self._failure = str(error)
            return True
        self._skip(self._current, str(error))
        return False

    def _store_all(self, source: Mailbox, is_over: Callable[[], bool]) -> None:
        """Store the messages, those that failed before after all others."""
        self._current = None
        listed: set[bytes] = set()
        last: list[tuple[WaitingMessage, bool]] = []
        for message, is_imported in messages.listed(self._mailbox.id, source):
            listed.add(messages.digest(message.key))
            if len(listed) > MAX_LISTED:
                self._failure = f"the mailbox has more than {MAX_LISTED:,} messages"
                return
            if message.name in self._before or message.name in self._skipped:
                last.append((message, is_imported))
            elif not self._visit(source, message, is_imported, is_over):
                return
        for message, is_imported in last:
            if not self._visit(source, message, is_imported, is_over):
                return
        self._read_count = source.read_count
        messages.forget_others(self._mailbox.id, listed)

    def _visit(
        self,
        source: Mailbox,
        message: WaitingMessage,
        is_imported: bool,
        is_over: Callable[[], bool],
    ) -> bool:
        """Store a message unless it was visited; return whether the fetch continues."""
        self._read_count = source.read_count
        if message.name in self._visited or (is_imported and source.keeps_messages):
            return True
        self._is_partial = is_over() or len(self._visited) >= MAX_MESSAGES
        if self._is_partial or self._refusals >= MAX_REFUSALS:
            return False
        self._visited.add(message.name)
        self._current = message.name
        try:
            if is_imported or self._store(message):
                self._duplicates += is_imported
                self._acknowledge(message)
        except MessageError as error:
            self._skip(message.name, str(error))
        self._current = None
        return True

    def _store(self, message: WaitingMessage) -> bool:
        """Store the message, and return whether it is stored.

        raises  MessageError, MailboxError, QuotaExceeded
        """
        if (reason := access.too_large(message.size())) is not None:
            self._too_large += 1
            self._skip(message.name, reason)
            return False
        file = NewFile(message.read(), message.name, self._metadata)
        if messages.store(self._mailbox, message.key, file).is_new:
            self._imported += 1
        else:
            self._duplicates += 1
        return True

    def _acknowledge(self, message: WaitingMessage) -> None:
        """Mark the message, which is committed.

        raises  MessageError, MailboxError
        """
        try:
            message.acknowledge()
        except MessageError as error:
            self._refusals += 1
            self._failure = f"imported messages cannot be marked or moved: {error}"[:MAX_REASON]
            raise
        self._acknowledged += 1

    def _skip(self, name: str, reason: str) -> None:
        self._skipped[name] = reason[:MAX_REASON]

    def _result(self) -> PollResult:
        is_idle = self._acknowledged == 0
        skipped = dict(self._skipped)
        interruption = str(self._error) if self._error is not None else None
        if self._failure or self._is_partial or interruption:
            unvisited = self._before.keys() - self._visited
            skipped |= {name: self._before[name] for name in sorted(unvisited)}
        return PollResult(
            imported_count=self._imported,
            duplicate_count=self._duplicates,
            too_large=self._too_large,
            failure=self._failure or (interruption if is_idle else None),
            needs_sign_in=isinstance(self._error, SignInRequired),
            retry_after_seconds=self._error.retry_after_seconds if self._error else None,
            is_partial=self._is_partial and not is_idle,
            read_count=self._read_count,
            skipped=dict(list(skipped.items())[:MAX_SKIPPED]),
        )

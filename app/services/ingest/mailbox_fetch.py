"""One fetch of a mailbox: messages are stored one by one, and each is marked once it is committed.

A message that cannot be imported is skipped with its reason, and tried last the next time, so that
it does not delay the others. If it breaks the connection, the fetch continues with a new one.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from app.errors import QuotaExceeded
from app.mailboxes.imap import ImapMailbox
from app.mailboxes.types import MailboxError, MessageError, WaitingMessage
from app.services.ingest import authenticity, files, mailbox_access
from app.services.ingest.mailbox_access import Connection

MAX_MESSAGES = 500  # of one fetch
MAX_CONNECTIONS = 4  # of one fetch
MAX_REFUSALS = 10  # to mark or move a message, after which the fetch ends
MAX_SKIPPED = 1_000  # messages with their reasons
MAX_REASON = 300


@dataclass(frozen=True, slots=True)
class PollResult:
    """The result of one poll.

    failure     why the mailbox could not be polled; None if it was
    is_partial  whether the time was too short for all messages
    read_count  the number of read messages that were left alone, if the server reports it
    skipped     the messages that could not be imported, by their names, with the reason
    """

    imported_count: int = 0
    duplicate_count: int = 0
    too_large: int = 0
    failure: str | None = None
    is_partial: bool = False
    read_count: int | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)


class Fetch:
    """A fetch of one mailbox.

    authserv_id  the server whose Authentication-Results are trusted
    skipped      what the last fetch skipped
    """

    def __init__(
        self, account_id: UUID, authserv_id: str | None, skipped: Mapping[str, str] | None
    ) -> None:
        self._account_id, self._before = account_id, dict(skipped or {})
        self._metadata = authenticity.received_by([authserv_id] if authserv_id else [])
        self._imported = self._duplicates = self._too_large = 0
        self._acknowledged = self._refusals = 0
        self._skipped: dict[str, str] = {}
        self._visited: set[str] = set()
        self._current: str | None = None
        self._failure: str | None = None
        self._interruption: str | None = None
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
                if self._current is None:
                    self._failure = str(error)
                    break
                self._interruption = str(error)
                self._skip(self._current, str(error))
                if time.monotonic() > until:
                    self._is_partial = True
                    break
            except QuotaExceeded as error:
                self._failure = error.message
                break
        else:
            self._is_partial = True
        return self._result()

    def _store_all(self, source: ImapMailbox, is_over: Callable[[], bool]) -> None:
        self._current = None
        most = MAX_MESSAGES + len(self._visited)
        for message in source.waiting(most, last={*self._before, *self._skipped}):
            self._read_count = source.read_count
            if message.name in self._visited:
                continue
            self._is_partial = is_over() or len(self._visited) >= MAX_MESSAGES
            if self._is_partial or self._refusals >= MAX_REFUSALS:
                return
            self._visited.add(message.name)
            self._current = message.name
            try:
                self._store(message)
            except MessageError as error:
                self._skip(message.name, str(error))
            self._current = None
        self._read_count = source.read_count

    def _store(self, message: WaitingMessage) -> None:
        """Store the message, and then mark it.

        raises  MessageError, MailboxError, QuotaExceeded
        """
        if (reason := mailbox_access.too_large(message.size())) is not None:
            self._too_large += 1
            self._skip(message.name, reason)
            return
        stored = files.store(
            self._account_id,
            message.read(),
            received_via="mailbox",
            file_name=message.name,
            sender_metadata=self._metadata,
        )
        if stored.is_new:
            self._imported += 1
        else:
            self._duplicates += 1
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
        if self._failure or self._is_partial or self._interruption:
            unvisited = self._before.keys() - self._visited
            skipped |= {name: self._before[name] for name in sorted(unvisited)}
        return PollResult(
            imported_count=self._imported,
            duplicate_count=self._duplicates,
            too_large=self._too_large,
            failure=self._failure or (self._interruption if is_idle else None),
            is_partial=self._is_partial and not is_idle,
            read_count=self._read_count,
            skipped=dict(list(skipped.items())[:MAX_SKIPPED]),
        )

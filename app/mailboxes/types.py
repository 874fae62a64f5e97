"""What a source of reports that is asked for them has: mails that wait, and a way to be done."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol


class MailboxError(Exception):
    """The source could not be asked, or did not do what it was asked for; the text says why."""


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """One mail that waits.

    read         its bytes; raises SourceFailed
    acknowledge  once it is kept: it is not offered again; raises SourceFailed
    is_too_large  it is left where it is
    """

    name: str
    is_too_large: bool
    read: Callable[[], bytes]
    acknowledge: Callable[[], None]


class Mailbox(Protocol):
    """A place that reports wait at."""

    def waiting(self, most: int) -> Iterator[WaitingMessage]:
        """So many at most, oldest first; raises SourceFailed."""

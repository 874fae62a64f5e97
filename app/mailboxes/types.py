"""The interface of a source from which reports are fetched."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol


class MailboxError(Exception):
    """The source cannot be reached or refused a command; the message is the reason."""


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """One message that was not imported yet.

    is_too_large  the message exceeds the size limit and stays in the mailbox
    read          returns its bytes; raises MailboxError
    acknowledge   called once it is stored, so that it is not offered again; raises MailboxError
    """

    name: str
    is_too_large: bool
    read: Callable[[], bytes]
    acknowledge: Callable[[], None]


class Mailbox(Protocol):
    """A source with waiting messages."""

    def waiting(self, most: int) -> Iterator[WaitingMessage]:
        """Yield at most ``most`` waiting messages, oldest first; raises MailboxError."""

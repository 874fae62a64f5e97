"""The interface of a source from which reports are fetched."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Protocol


class MailboxError(Exception):
    """The source cannot be reached or cannot be used any longer; the message is the reason."""


class MessageError(MailboxError):
    """The source refused one message; others can still be fetched. The message is the reason."""


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """One message that was not imported yet; each function raises MailboxError or MessageError.

    size         returns the number of bytes; messages above the size limit stay in the mailbox
    read         returns the message
    acknowledge  called once it is stored, so that it is not offered again
    """

    name: str
    size: Callable[[], int]
    read: Callable[[], bytes]
    acknowledge: Callable[[], None]


class Mailbox(Protocol):
    """A source with waiting messages."""

    def waiting(self, most: int, last: Collection[str] = ()) -> Iterator[WaitingMessage]:
        """Yield at most ``most`` waiting messages, oldest first; raises MailboxError.

        last  names of messages that are yielded after all others, because they failed before
        """

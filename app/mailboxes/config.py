"""The base class of mailbox types: the options of a mailbox, and how it is opened."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar

from app.mailboxes.types import Access, Mailbox
from app.options.schema import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxConfig(Options, ABC):
    """The options of a mailbox; a subclass is a mailbox type.

    type              the value of ``report_mailboxes.type``
    label             the name in the dashboard
    description       what the type does, as a sentence
    is_operator_only  whether only operators may add such mailboxes
    """

    type: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str]
    is_operator_only: ClassVar[bool] = False

    @property
    @abstractmethod
    def title(self) -> str:
        """The mailbox in lists, such as the user name; hidden from viewers."""

    @property
    @abstractmethod
    def location(self) -> str:
        """Where the reports are, such as the server and the folder; unique with the title."""

    @abstractmethod
    def opened(self, access: Access) -> AbstractContextManager[Mailbox]:
        """Open the mailbox until the end of the block.

        raises  MailboxError with the words of the server, also within the block
        """

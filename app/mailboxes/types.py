"""The interface of a mailbox, of its messages and of what it may use to connect."""

import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypedDict

from app.ports.http import Page, Request


class MailboxError(Exception):
    """The mailbox cannot be reached or cannot be used any longer; the message is the reason.

    retry_after_seconds  how long the server asks clients to wait; None if it does not say
    """

    def __init__(self, reason: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class SignInRequired(MailboxError):
    """The access has expired or was revoked: the mailbox is paused until a person changes it."""


class ResponseTooLarge(MailboxError):
    """The response to an HTTPS request is larger than the request allows."""


class MessageError(MailboxError):
    """The server refused one message; others can still be fetched. The message is the reason."""


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """One message of a mailbox; each function raises MailboxError or MessageError.

    key          identifies the message in this mailbox forever; it is stored as a digest
    name         for people, unique in the mailbox
    size         returns the number of bytes; messages above the size limit stay in the mailbox
    read         returns the message, of at most ``LIMITS.message`` bytes
    acknowledge  called once it is committed: moves, marks or deletes it as the mailbox is
                 configured. It may be called again after a process was killed.
    """

    key: str
    name: str
    size: Callable[[], int]
    read: Callable[[], bytes]
    acknowledge: Callable[[], None]


class Mailbox(Protocol):
    """An open mailbox.

    keeps_messages  whether an acknowledged message is still listed; its key is stored, and it is
                    not fetched again
    """

    @property
    def keeps_messages(self) -> bool:
        """Whether an acknowledged message is still listed."""

    @property
    def message_count(self) -> int | None:
        """The number of messages; None if the server does not report it."""

    @property
    def read_count(self) -> int | None:
        """The number of read messages that ``messages`` leaves out; None if it lists them."""

    def messages(self) -> Iterator[WaitingMessage]:
        """Yield the messages, oldest first if the server sorts them; raises MailboxError.

        The caller may stop at any message, so further pages are requested as they are needed.
        """

    def test(self) -> None:
        """Check what reading the mailbox does not, such as the folder for imported messages.

        raises  MailboxError with the words of the server
        """


class StoredToken(TypedDict):
    """An access token of OAuth 2.0, which is stored encrypted.

    expires_at     seconds since the epoch
    refresh_token  the current one if the server has replaced the configured one; otherwise empty
    issued_for     a digest of the options and secrets that the token was issued for
    """

    access_token: str
    expires_at: float
    refresh_token: str
    issued_for: str


class Access(ABC):
    """What a mailbox may use to connect.

    is_readonly  nothing in the mailbox may be changed, as for a test or a preview
    context      the TLS context for sockets; None for the default one
    folder_root  the directory that has all folders; None if the operator set none
    """

    is_readonly: bool
    context: ssl.SSLContext | None
    folder_root: str | None

    @abstractmethod
    def address(self, host: str) -> str:
        """Return the address to connect to; raises MailboxError if the host is not allowed."""

    @abstractmethod
    def fetch(self, host: str, path: str, request: Request) -> Page:
        """Return the response of ``https://host/path`` with any status.

        The body is read if ``request.max_response_bytes`` is set. Connections are reused.

        raises  ResponseTooLarge; MailboxError if there is no response
        """

    @abstractmethod
    def load_token(self) -> StoredToken | None:
        """Return the access token that is stored now, which another process may have renewed."""

    @abstractmethod
    def store_token(self, token: StoredToken) -> None:
        """Store an access token; committed before it returns."""

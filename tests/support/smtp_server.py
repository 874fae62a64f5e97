"""A mail server on loopback that stores the messages that it accepts."""

import email
import email.policy
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from devtools.processes import free_port


class Inbox:
    """The accepted messages.

    answer   the response to a message; it is kept only if this begins with 250
    refused  the addresses that get 550 at RCPT
    url      the ``SMTP_URL`` of the server
    """

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.answer = "250 OK"
        self.refused: set[str] = set()
        self.url = ""

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        """Accept the recipient unless it is refused."""
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Store the message if the answer accepts it."""
        if self.answer.startswith("250"):
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            self.messages.append(message)
            self.recipients.append(envelope.rcpt_tos)
        return self.answer

    def to(self, address: str) -> list[EmailMessage]:
        """The messages to this address, oldest first."""
        pairs = zip(self.messages, self.recipients, strict=True)
        return [message for message, recipients in pairs if address in recipients]

    def bodies(self) -> list[str]:
        """The texts of the plain messages, oldest first."""
        return [message.get_content() for message in self.messages]


@contextmanager
def open_inbox() -> Iterator[Inbox]:
    """An inbox with a running server."""
    inbox = Inbox()
    port = free_port()
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    inbox.url = f"smtp://127.0.0.1:{port}"
    try:
        yield inbox
    finally:
        controller.stop()

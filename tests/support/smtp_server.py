"""A mail server on loopback that keeps what it is handed, for tests."""

import email
import email.policy
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from devtools.processes import free_port


class Inbox:
    """Accepts every message while ``answer`` begins with 250, and answers with it otherwise."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.answer = "250 taken"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answer.startswith("250"):
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            self.letters.append(message)
            self.recipients.append(envelope.rcpt_tos)
        return self.answer

    def bodies(self) -> list[str]:
        """The texts of the plain messages, oldest first."""
        return [letter.get_content() for letter in self.letters]


@contextmanager
def listening(inbox: Inbox) -> Iterator[str]:
    """The ``SMTP_URL`` of a server that hands its messages to the inbox."""
    port = free_port()
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield f"smtp://127.0.0.1:{port}"
    finally:
        controller.stop()

"""An email to one person, as plain text."""

from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainEmail:
    """The content of an email.

    id      unique; a retry of the same email has the same ``Message-ID``
    sender  the From header, from ``MAIL_FROM``
    """

    id: str
    sender: str
    recipient: str
    subject: str
    body: str
    at: datetime


def compose(content: PlainEmail) -> EmailMessage:
    """Return the message, marked as automatic so that no vacation responder answers it."""
    message = EmailMessage()
    domain = parseaddr(content.sender)[1].rpartition("@")[2] or "localhost"
    message["From"] = content.sender
    message["To"] = content.recipient
    message["Subject"] = content.subject
    message["Date"] = format_datetime(content.at)
    message["Message-ID"] = f"<email-{content.id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(content.body)
    return message

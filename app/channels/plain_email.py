"""An email to one person: plain text, and HTML where it has any."""

from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

# A long URL in a header is neither folded nor encoded.
_POLICY = policy.default.clone(max_line_length=998)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainEmail:
    """The content of an email.

    id      unique; a retry of the same email has the same ``Message-ID``
    sender  the From header, from ``MAIL_FROM``
    html             the same as HTML; empty for plain text only
    unsubscribe_url  unsubscribes the recipient without signing in; empty without one
    """

    id: str
    sender: str
    recipient: str
    subject: str
    body: str
    at: datetime
    html: str = ""
    unsubscribe_url: str = ""


def compose(content: PlainEmail) -> EmailMessage:
    """Return the message, marked as automatic so that no vacation responder answers it."""
    message = EmailMessage(policy=_POLICY)
    domain = parseaddr(content.sender)[1].rpartition("@")[2] or "localhost"
    message["From"] = content.sender
    message["To"] = content.recipient
    message["Subject"] = content.subject
    message["Date"] = format_datetime(content.at)
    message["Message-ID"] = f"<email-{content.id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    if content.unsubscribe_url:
        message["List-Unsubscribe"] = f"<{content.unsubscribe_url}>"
        if content.unsubscribe_url.startswith("https://"):  # RFC 8058 requires HTTPS
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(content.body)
    if content.html:
        message.add_alternative(content.html, subtype="html")
    return message

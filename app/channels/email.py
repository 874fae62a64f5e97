"""Email: one alert or a digest, as plain text and HTML, and its submission over SMTP."""

import hashlib
import smtplib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from urllib.parse import parse_qs, unquote, urlsplit

from app.channels import email_html
from app.channels import text as channels_text
from app.channels.text import Event
from app.channels.types import BadTarget, Outcome

MAX_ADDRESSES = 20
# A long URL in a header is neither folded nor encoded.
_POLICY = policy.SMTP.clone(max_line_length=998)
NOT_SET = "SMTP_URL is not set, so mailwatch cannot send email"


@dataclass(frozen=True, slots=True)
class Server:
    """The mail server for outgoing email.

    tls  ``implicit`` (smtps), ``required``, ``auto`` (STARTTLS if it is offered) or ``off``
    """

    host: str
    port: int
    tls: str
    user: str | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True)
class EmailContent:
    """One email to one recipient.

    sender           the From header, from ``MAIL_FROM``
    base_url         the base URL of links
    reason           a sentence that says why the recipient gets this email
    unsubscribe_url  unsubscribes the recipient without signing in
    since            the start of a digest, with its time zone; None for a single event
    """

    sender: str
    recipient: str
    events: Sequence[Event]
    at: datetime
    base_url: str
    reason: str
    unsubscribe_url: str
    since: str | None = None

    @property
    def footer(self) -> str:
        """The footer of the plain text."""
        return f"\n\n-- \n{self.reason}\nUnsubscribe: {self.unsubscribe_url}\n"


def parse_server(url: str) -> Server:
    """The mail server in SMTP_URL.

    raises  ValueError
    """
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("expected format: smtp://user:password@host:587")
    starttls = parse_qs(parts.query).get("starttls", ["required" if parts.password else "auto"])[-1]
    if starttls not in ("required", "auto", "off"):
        raise ValueError("starttls must be required, auto or off")
    is_implicit = parts.scheme == "smtps"
    return Server(
        parts.hostname,
        parts.port or (465 if is_implicit else 587 if parts.password else 25),
        "implicit" if is_implicit else starttls,
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
    )


def parse_addresses(text: str) -> list[str]:
    """The addresses in comma-separated text.

    raises  BadTarget
    """
    addresses = list(dict.fromkeys(item.strip() for item in text.split(",") if item.strip()))
    if not 1 <= len(addresses) <= MAX_ADDRESSES:
        raise BadTarget(f"enter 1 to {MAX_ADDRESSES} email addresses")
    for address in addresses:
        local, _, domain = address.rpartition("@")
        is_plain = address.isascii() and address.isprintable() and not set(address) & set(' <>"()')
        if not is_plain or not local or "." not in domain or parseaddr(address)[1] != address:
            raise BadTarget(f"{channels_text.plain(address)[:100]} is not an email address")
    return addresses


def compose(letter: EmailContent) -> EmailMessage:
    """The email as a message. Emails about one alert form one thread."""
    message = EmailMessage(policy=_POLICY)
    domain = parseaddr(letter.sender)[1].rpartition("@")[2] or "localhost"
    first = letter.events[0]
    copy = hashlib.sha256(letter.recipient.encode()).hexdigest()[:12]
    message["From"] = letter.sender
    message["To"] = letter.recipient
    message["Date"] = format_datetime(letter.at)
    message["Message-ID"] = f"<{first['id']}.{letter.at:%Y%m%d}.{copy}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["List-Unsubscribe"] = f"<{letter.unsubscribe_url}>"
    if letter.unsubscribe_url.startswith("https://"):  # RFC 8058 requires HTTPS
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    foot = email_html.footer(letter.reason, letter.unsubscribe_url, letter.base_url)
    if letter.since is None:
        alert = channels_text.alert_of(first)
        message["Subject"] = channels_text.heading(first)[:200]
        if alert:
            message["References"] = f"<{alert['id']}@{domain}>"
        text, html = (
            channels_text.text(first),
            email_html.render_event(first, letter.base_url, foot),
        )
    else:
        groups = email_html.Digest.of(letter.events, letter.since)
        message["Subject"] = groups.heading
        text, html = groups.text(), groups.html(letter.base_url, foot)
    message.set_content(text + letter.footer)
    message.add_alternative(html, subtype="html")
    return message


def send(server: Server, letter: EmailContent, *, seconds: float) -> Outcome:
    """Submit the email to the mail server.

    seconds  timeout of each server response
    """
    return submit(server, lambda: compose(letter), [letter.recipient], seconds=seconds)


def submit(
    server: Server, build: Callable[[], EmailMessage], recipients: Sequence[str], *, seconds: float
) -> Outcome:
    """Submit a message to the mail server for these recipients, and return the outcome.

    build    composes the message; a ``ValueError`` that it raises is the outcome
    seconds  timeout of each server response
    """
    try:
        message = build()
        with _connected(server, seconds) as smtp:
            if server.user is not None:
                smtp.login(server.user, server.password or "")
            refused = smtp.send_message(message, to_addrs=list(recipients))
    except smtplib.SMTPResponseException as error:
        return Outcome(error.smtp_code, f"the mail server responded with {error.smtp_code}")
    except smtplib.SMTPRecipientsRefused as error:
        code = next(iter(error.recipients.values()))[0]
        return Outcome(code, f"the mail server refused the recipients ({code})")
    except (smtplib.SMTPException, ssl.SSLError, OSError, ValueError) as error:
        return Outcome(error=f"the mail server cannot be used: {type(error).__name__}")
    if refused:
        code = next(iter(refused.values()))[0]
        return Outcome(code, f"the mail server refused {len(refused)} of the recipients")
    return Outcome(250)


def _connected(server: Server, seconds: float) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if server.tls == "implicit":
        return smtplib.SMTP_SSL(server.host, server.port, timeout=seconds, context=context)
    smtp = smtplib.SMTP(server.host, server.port, timeout=seconds)
    try:
        smtp.ehlo()
        if server.tls == "required" or (server.tls == "auto" and smtp.has_extn("starttls")):
            smtp.starttls(context=context)
    except BaseException:
        smtp.close()
        raise
    return smtp

"""Email channels: one alert or a digest, as plain text and HTML, to recipients who confirmed."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

from app.channels import email_html, smtp
from app.channels import text as channels_text
from app.channels.smtp import SmtpServer
from app.channels.text import Event
from app.channels.types import (
    BadTarget,
    ChannelConfig,
    ChannelType,
    Message,
    Outcome,
    ParsedTarget,
    Recipient,
    Transport,
)

MAX_ADDRESSES = 20
# A long URL in a header is neither folded nor encoded.
_POLICY = policy.SMTP.clone(max_line_length=998)


class Email(ChannelType):
    """Email to one or several addresses, immediately or as a digest."""

    name = "email"
    label = "Email"
    description = "Send emails to comma-separated addresses."
    target_hint = "addresses separated by commas; each person confirms before alerts are sent"
    target_field = "addresses"
    has_digests = True
    has_recipients = True
    is_given_up = False

    def groups_by_cause(self, target: str) -> bool:
        return True

    def parse(self, target: str, config: ChannelConfig) -> ParsedTarget:
        addresses = parse_addresses(target)
        return ParsedTarget(",".join(addresses), recipients=addresses)

    def configuration_error(self, config: ChannelConfig) -> str | None:
        return smtp.NOT_SET if config.smtp_url is None else None

    async def send(self, message: Message, transport: Transport, config: ChannelConfig) -> Outcome:
        """Send one email to each recipient; those accepted before a timeout count as delivered."""
        accepted: list[str] = []
        loop = asyncio.get_running_loop()
        blocking = loop.run_in_executor(transport.threads, _submit_all, message, config, accepted)
        try:
            outcome = await asyncio.wait_for(blocking, config.timeout_seconds)
        except TimeoutError:
            outcome = Outcome(error="the mail server did not answer in time")
        return replace(outcome, delivered_to=tuple(accepted))


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


def parse_addresses(text: str) -> list[str]:
    """Return the addresses in comma-separated text.

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


def compose(content: EmailContent) -> EmailMessage:
    """Return the email as a message. Emails about one cause form one thread."""
    message = EmailMessage(policy=_POLICY)
    domain = parseaddr(content.sender)[1].rpartition("@")[2] or "localhost"
    first = content.events[0]
    copy = hashlib.sha256(content.recipient.encode()).hexdigest()[:12]
    message["From"] = content.sender
    message["To"] = content.recipient
    message["Date"] = format_datetime(content.at)
    message["Message-ID"] = f"<{first['id']}.{content.at:%Y%m%d}.{copy}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["List-Unsubscribe"] = f"<{content.unsubscribe_url}>"
    if content.unsubscribe_url.startswith("https://"):  # RFC 8058 requires HTTPS
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    foot = email_html.footer(content.reason, content.unsubscribe_url, content.base_url)
    if content.since is None:
        alert = channels_text.alert_of(first)
        message["Subject"] = channels_text.group_heading(content.events)[:200]
        if alert:
            thread_ids = filter(None, (alert.get("causeId"), alert["id"]))
            message["References"] = " ".join(f"<{id}@{domain}>" for id in thread_ids)
        text = channels_text.text(first) + channels_text.related_text(content.events)
        html = email_html.render_events(content.events, content.base_url, foot)
    else:
        groups = email_html.Digest.of(content.events, content.since)
        message["Subject"] = groups.heading
        text, html = groups.text(), groups.html(content.base_url, foot)
    message.set_content(text + content.footer)
    message.add_alternative(html, subtype="html")
    return message


def submit(server: SmtpServer, content: EmailContent, *, seconds: float) -> Outcome:
    """Submit the email to the mail server, and return the outcome.

    seconds  timeout of each server response
    """
    return smtp.submit(server, lambda: compose(content), [content.recipient], seconds=seconds)


def _submit_all(message: Message, config: ChannelConfig, accepted: list[str]) -> Outcome:
    """Send to every recipient: the first failure, or success; stops if the server is unusable.

    effects  adds the ids of the recipients whose email was accepted to ``accepted``
    """
    if config.smtp_url is None:
        return Outcome(error=smtp.NOT_SET)
    server = smtp.parse_server(config.smtp_url)
    result = Outcome(250)
    for recipient in message.recipients:
        content = _content(message, recipient, config)
        outcome = submit(server, content, seconds=config.timeout_seconds)
        if outcome.error is None:
            accepted.append(recipient.id)
        elif result.error is None:
            result = outcome
        if outcome.error is not None and outcome.status is None:
            break
    return result


def _content(message: Message, recipient: Recipient, config: ChannelConfig) -> EmailContent:
    return EmailContent(
        sender=config.mail_from,
        recipient=recipient.address,
        events=message.events,
        at=message.at,
        base_url=config.base_url,
        reason=(
            f"You receive this because the channel {message.channel_name} sends alerts of severity "
            f"{message.min_severity} and above to {recipient.address}."
        ),
        unsubscribe_url=recipient.unsubscribe_url,
        since=f"{message.since:%d %b %H:%M} UTC" if message.since else None,
    )

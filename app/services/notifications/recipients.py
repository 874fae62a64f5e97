"""Recipients of email channels: each person confirms before anything else is sent to the address.

1. A channel is added: each address gets one email with a link, and its row is ``pending``.
2. The person opens the link and presses a button. Programs that follow links in emails only GET.
3. Alerts go to ``confirmed`` recipients alone, each with a link to unsubscribe without signing in.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import ids, keyring, settings
from app.db.transactions import now, transaction
from app.errors import InvalidRequest, NotFound, QuotaExceeded
from app.keyring import Purpose
from app.models import Account, Channel, ChannelRecipient, Email
from app.services.audit import audit_log
from app.services.emails import emails
from app.services.emails.emails import NewEmail

KIND = "channel_confirmation"
EXPIRY = timedelta(days=7)
MAX_EMAILS_PER_ADDRESS = 3  # confirmation emails a day, of all accounts together
MAX_EMAILS_PER_ACCOUNT = 20  # confirmation emails an hour
BATCH_SIZE = 100
NONE_CONFIRMED = "no recipient has confirmed"
_TOKEN_BYTES = 24
_MAC_BYTES = 16

_BODY = """\
{account} uses mailwatch to monitor the email security of its domains,
and wants to send alerts to {address}.

To receive these alerts, open this page and confirm:

{confirm_url}

The link expires in {days} days. If you do not want these alerts, ignore
this email: alerts are only sent to addresses that were confirmed. To block
this channel permanently, unsubscribe:

{unsubscribe_url}
"""


@dataclass(frozen=True, slots=True)
class Subscription:
    """The subscription that the page of a link shows."""

    address: str
    account_name: str
    status: str


def add(session: Session, channel: Channel, addresses: Sequence[str]) -> None:
    """Add pending recipients and send each a confirmation email; runs in the caller's transaction.

    raises  QuotaExceeded; InvalidRequest for an address that was sent MAX_EMAILS_PER_ADDRESS today
    """
    for address in addresses:
        row = ChannelRecipient(
            id=ids.new(),
            account_id=channel.account_id,
            channel_id=channel.id,
            address=address,
            status="pending",
            created_at=now(session),
        )
        session.add(row)
        _check_limits(session, row)
        _request(session, row)
        session.flush()


def of_channel(session: Session, channel_id: UUID) -> Sequence[ChannelRecipient]:
    """Return the recipients, ordered by address; runs in the caller's transaction."""
    return session.scalars(
        select(ChannelRecipient)
        .where(ChannelRecipient.channel_id == channel_id)
        .order_by(ChannelRecipient.address)
    ).all()


def confirmed(session: Session, channel_id: UUID) -> Sequence[ChannelRecipient]:
    """Return the confirmed recipients; runs in the caller's transaction."""
    return session.scalars(
        select(ChannelRecipient)
        .where(ChannelRecipient.channel_id == channel_id, ChannelRecipient.status == "confirmed")
        .order_by(ChannelRecipient.address)
    ).all()


def resend(account_id: UUID, channel_id: UUID, recipient_id: UUID, *, actor: str) -> None:
    """Send a pending recipient a new confirmation link; the previous one becomes invalid.

    raises  NotFound, also for a recipient that is not pending; QuotaExceeded; InvalidRequest
    """
    with transaction() as session:
        row = session.scalar(
            select(ChannelRecipient)
            .where(
                ChannelRecipient.account_id == account_id,
                ChannelRecipient.channel_id == channel_id,
                ChannelRecipient.id == recipient_id,
                ChannelRecipient.status == "pending",
            )
            .with_for_update()
        )
        if row is None:
            raise NotFound
        _check_limits(session, row)
        _request(session, row)
        _record(session, row, actor, "channel.confirmation_sent")


def request_missing() -> int:
    """Send confirmation emails to pending recipients without one, and return how many.

    Such recipients are of channels that were added before recipients had to confirm, or were over
    the limits.
    """
    count = 0
    with transaction() as session:
        rows = session.scalars(
            select(ChannelRecipient)
            .where(ChannelRecipient.status == "pending", ChannelRecipient.requested_at.is_(None))
            .order_by(ChannelRecipient.id)
            .limit(BATCH_SIZE)
            .with_for_update(skip_locked=True)
        ).all()
        for row in rows:
            try:
                _check_limits(session, row)
            except (InvalidRequest, QuotaExceeded):
                continue  # the next run tries it
            _request(session, row)
            session.flush()
            count += 1
    return count


def find_confirmation(token: str) -> Subscription:
    """Return the subscription of the link in a confirmation email.

    raises  NotFound if the link is unknown or expired, or the person has unsubscribed
    """
    with transaction(readonly=True) as session:
        return _shown(session, _by_token(session, token))


def confirm(token: str) -> Subscription:
    """Confirm the recipient, so that alerts are sent to the address.

    raises  NotFound as ``find_confirmation``
    """
    with transaction() as session:
        row = _by_token(session, token)
        if row.status == "pending":
            row.status, row.confirmed_at = "confirmed", now(session)
            _record(session, row, f"recipient:{row.address}", "channel.recipient_confirmed")
        return _shown(session, row)


def find_unsubscription(token: str) -> Subscription:
    """Return the subscription of the unsubscribe link in an email.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        return _shown(session, _by_unsubscribe_token(session, token))


def unsubscribe(token: str) -> Subscription:
    """Unsubscribe the recipient from the channel.

    raises  NotFound
    """
    with transaction() as session:
        row = _by_unsubscribe_token(session, token)
        if row.status != "unsubscribed":
            row.status, row.unsubscribed_at, row.digest = "unsubscribed", now(session), None
            _record(session, row, f"recipient:{row.address}", "channel.recipient_unsubscribed")
        return _shown(session, row)


def unsubscribe_url(recipient_id: UUID) -> str:
    """Return the unsubscribe link in every email to this recipient."""
    mac = _mac(keyring.current(Purpose.UNSUBSCRIBE), recipient_id)
    base_url = settings.current().base_url
    return f"{base_url}/notifications/unsubscribe/{recipient_id.hex}.{mac}"


def _request(session: Session, row: ChannelRecipient) -> None:
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    row.digest, row.requested_at = _digest(token), now(session)
    account = session.get_one(Account, row.account_id)
    body = _BODY.format(
        account=account.name,
        address=row.address,
        confirm_url=f"{settings.current().base_url}/notifications/confirm/{token}",
        days=EXPIRY.days,
        unsubscribe_url=unsubscribe_url(row.id),
    )
    subject = "Confirm that you want to receive alerts"
    email = NewEmail(
        recipient=row.address, kind=KIND, subject=subject, body=body, account_id=row.account_id
    )
    emails.enqueue(session, email)


def _check_limits(session: Session, row: ChannelRecipient) -> None:
    at = now(session)
    count = select(func.count()).select_from(Email).where(Email.kind == KIND)
    of_address = count.where(
        func.lower(Email.recipient) == row.address.lower(),
        Email.created_at > at - timedelta(days=1),
    )
    if (session.scalar(of_address) or 0) >= MAX_EMAILS_PER_ADDRESS:
        message = (
            f"{row.address} was sent {MAX_EMAILS_PER_ADDRESS} confirmation emails in the last "
            "24 hours. Try again tomorrow."
        )
        raise InvalidRequest.field("addresses", message)
    of_account = count.where(
        Email.account_id == row.account_id, Email.created_at > at - timedelta(hours=1)
    )
    if (session.scalar(of_account) or 0) >= MAX_EMAILS_PER_ACCOUNT:
        raise QuotaExceeded(
            f"An account can send {MAX_EMAILS_PER_ACCOUNT} confirmation emails an hour.", 3600
        )


def _by_token(session: Session, token: str) -> ChannelRecipient:
    row = session.scalar(
        select(ChannelRecipient)
        .where(
            ChannelRecipient.digest == _digest(token),
            ChannelRecipient.requested_at > now(session) - EXPIRY,
        )
        .with_for_update()
    )
    if row is None:
        raise NotFound
    return row


def _by_unsubscribe_token(session: Session, token: str) -> ChannelRecipient:
    text, _, mac = token.partition(".")
    try:
        recipient_id = UUID(hex=text)
    except ValueError:
        raise NotFound from None
    valid = [_mac(key, recipient_id) for key in keyring.usable(Purpose.UNSUBSCRIBE)]
    if not any(hmac.compare_digest(mac.encode(), candidate.encode()) for candidate in valid):
        raise NotFound
    row = session.get(ChannelRecipient, recipient_id, with_for_update=True)
    if row is None:
        raise NotFound
    return row


def _shown(session: Session, row: ChannelRecipient) -> Subscription:
    account = session.get_one(Account, row.account_id)
    return Subscription(row.address, account.name, row.status)


def _record(session: Session, row: ChannelRecipient, actor: str, action: str) -> None:
    target = ids.public("chan", row.channel_id)
    audit_log.record(
        session, row.account_id, actor=actor, action=action, target=target, address=row.address
    )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _mac(key: bytes, recipient_id: UUID) -> str:
    return hmac.new(key, recipient_id.bytes, "sha256").digest()[:_MAC_BYTES].hex()

"""Sends the weekly summaries that are due, and previews.

1. The summary of a channel is read in a snapshot, without locks.
2. The row of the channel is locked. If it is still due, the emails to its confirmed recipients are
   queued and the next time is set, in one transaction. So there is one summary for each time, even
   with several clock processes. Times that were missed are made up for by one summary.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.transactions import now, transaction
from app.errors import InvalidRequest, QuotaExceeded
from app.models import Channel, Email, WeeklySummary
from app.protocols import timestamps
from app.services.audit import audit_log
from app.services.emails import emails
from app.services.emails.emails import NewEmail
from app.services.notifications import channels, recipients
from app.services.sign_in.sessions import UserSession
from app.services.weekly import summary, weekly_email
from app.services.weekly.summary import Period
from app.services.weekly.weekly_email import SummaryContent

logger = logging.getLogger(__name__)

KIND, PREVIEW = "weekly_summary", "weekly_summary_preview"
BATCH_SIZE = 100
WEEK = timedelta(days=7)
MAX_PERIOD = timedelta(days=30)
MAX_PREVIEWS = 5  # an hour, to one person


def send_due() -> int:
    """Queue the summaries that are due, and return how many channels had one."""
    with transaction(readonly=True) as session:
        due = session.scalars(
            select(WeeklySummary.channel_id)
            .join(Channel, Channel.id == WeeklySummary.channel_id)
            .where(WeeklySummary.next_at <= now(session), Channel.disabled_at.is_(None))
            .order_by(WeeklySummary.next_at)
            .limit(BATCH_SIZE)
        ).all()
    return sum(map(_try_to_send, due))


def preview(user: UserSession, ref: str) -> None:
    """Queue the summary of the last week of the channel as an email to this user only.

    raises  NotFound; InvalidRequest for another type of channel, or without a mail server;
            QuotaExceeded after MAX_PREVIEWS in an hour
    """
    if not emails.is_configured():
        raise InvalidRequest.field("channel", "no mail server is configured")
    with transaction(readonly=True, snapshot=True) as session:
        channel = channels.owned(session, user.account_id, ref)
        if not channels.type_of(channel).has_recipients:
            raise InvalidRequest.field("channel", "only email channels send a weekly summary")
        at = now(session)
        row = session.get(WeeklySummary, channel.id)
        period = _period(row, at, at - WEEK)
        content = summary.read(session, channel, period)
    with transaction() as session:
        _expect_quota(session, user.email)
        reason = f"This is a preview for {user.email}, requested in the dashboard."
        _enqueue(session, user.account_id, content, (user.email, reason, ""))
        audit_log.record(
            session,
            user.account_id,
            actor=user.actor,
            action="channel.weekly_summary_previewed",
            target=channel.name,
        )


def _expect_quota(session: Session, recipient: str) -> None:
    since = now(session) - timedelta(hours=1)
    count = session.scalar(
        select(func.count())
        .select_from(Email)
        .where(Email.recipient == recipient, Email.kind == PREVIEW, Email.created_at > since)
    )
    if (count or 0) >= MAX_PREVIEWS:
        raise QuotaExceeded(f"You can request at most {MAX_PREVIEWS} previews an hour.", 3600)


def _try_to_send(channel_id: UUID) -> bool:
    try:
        return _send(channel_id)
    except Exception:  # a summary that cannot be made must not stop the others
        logger.exception("weekly summary failed", extra={"channel": str(channel_id)})
        return False


def _send(channel_id: UUID) -> bool:
    with transaction(readonly=True, snapshot=True) as session:
        row, channel = session.get(WeeklySummary, channel_id), session.get(Channel, channel_id)
        if row is None or channel is None:
            return False
        at, due_at = now(session), row.next_at
        content = summary.read(session, channel, _period(row, at, row.period_at))
    with transaction() as session:
        row = session.scalar(
            select(WeeklySummary)
            .where(WeeklySummary.channel_id == channel_id, WeeklySummary.next_at == due_at)
            .with_for_update()
        )
        if row is None or due_at > now(session):
            return False  # another process has sent it, or a user has changed the time
        zone = timestamps.find_zone(row.time_zone) or timestamps.UTC_ZONE
        row.period_at = at
        row.next_at = timestamps.next_weekly(row.weekday, row.hour, zone, now(session))
        for recipient in _recipients(session, channel):
            _enqueue(session, channel.account_id, content, recipient)
        return True


def _period(row: WeeklySummary | None, at: datetime, since: datetime) -> Period:
    """The period until now, of at least a week and at most MAX_PERIOD."""
    return Period(
        since=max(min(since, at - WEEK), at - MAX_PERIOD),
        now=at,
        weekday=row.weekday if row else 0,
        hour=row.hour if row else 8,
        time_zone=row.time_zone if row else "UTC",
    )


def _recipients(session: Session, channel: Channel) -> Sequence[tuple[str, str, str]]:
    """(address, reason, unsubscribe URL) of each confirmed recipient."""
    return [
        (
            row.address,
            f"You receive this because the channel {channel.name} sends a weekly summary to "
            f"{row.address}.",
            recipients.unsubscribe_url(row.id),
        )
        for row in recipients.confirmed(session, channel.id)
    ]


def _enqueue(
    session: Session, account_id: UUID, content: SummaryContent, recipient: tuple[str, str, str]
) -> None:
    address, reason, unsubscribe_url = recipient
    email = weekly_email.compose(content, reason, unsubscribe_url)
    emails.enqueue(
        session,
        NewEmail(
            recipient=address,
            kind=KIND if unsubscribe_url else PREVIEW,
            subject=email.subject,
            body=email.text,
            account_id=account_id,
            html=email.html,
            unsubscribe_url=unsubscribe_url,
        ),
    )

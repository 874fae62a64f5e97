"""Which email channels send a weekly summary, and when."""

from dataclasses import astuple, dataclass
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from app import ids
from app.db.transactions import now, transaction
from app.errors import InvalidRequest
from app.models import Channel, WeeklySummary
from app.protocols import timestamps
from app.services.audit import audit_log
from app.services.notifications import channels

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a channel sends its summary: weekday (0 for Monday) and hour in the time zone."""

    weekday: int
    hour: int
    time_zone: str

    def __str__(self) -> str:
        return f"{WEEKDAYS[self.weekday]}, {self.hour:02}:00 {self.time_zone}"


def change(account_id: UUID, ref: str, schedule: Schedule | None, *, actor: str) -> Schedule | None:
    """Let the channel (an id or a name) send a summary each week; None to send none.

    returns  the schedule before; None if it sent none
    raises   NotFound; InvalidRequest for another type of channel, or an invalid schedule
    """
    zone = _checked(schedule)
    with transaction() as session:
        channel = channels.owned(session, account_id, ref, lock=True)
        if not channels.type_of(channel).has_recipients:
            raise InvalidRequest.field("weekday", "only email channels can send a weekly summary")
        row = session.get(WeeklySummary, channel.id)
        before = Schedule(row.weekday, row.hour, row.time_zone) if row else None
        if schedule == before:
            return before
        if row is not None and schedule is None:
            session.delete(row)
        elif schedule is not None:
            at = now(session)
            if row is None:
                row = WeeklySummary(channel_id=channel.id, account_id=account_id, period_at=at)
                session.add(row)
            row.weekday, row.hour, row.time_zone = astuple(schedule)
            row.next_at = timestamps.next_weekly(row.weekday, row.hour, zone, at)
        _record(session, channel, actor, schedule)
        return before


def _checked(schedule: Schedule | None) -> ZoneInfo:
    """The time zone of the schedule.

    raises  InvalidRequest
    """
    if schedule is None:
        return timestamps.UTC_ZONE
    zone = timestamps.find_zone(schedule.time_zone)
    if zone is None:
        raise InvalidRequest.field("time_zone", timestamps.UNKNOWN_ZONE)
    if not 0 <= schedule.weekday <= 6:
        raise InvalidRequest.field("weekday", "choose a day of the week")
    if not 0 <= schedule.hour <= 23:
        raise InvalidRequest.field("hour", "choose an hour from 0 to 23")
    return zone


def _record(session: Session, channel: Channel, actor: str, schedule: Schedule | None) -> None:
    audit_log.record(
        session,
        channel.account_id,
        actor=actor,
        action="channel.weekly_summary_changed",
        target=ids.public("chan", channel.id),
        name=channel.name,
        after=str(schedule) if schedule else "off",
    )

"""How much work is waiting, and for how long.

No query reads more than LIMIT rows, all from indexes of unfinished work, so that its cost does not
grow with the tables. The conditions are literals, because PostgreSQL does not use a partial index
for a parameter once it has a generic plan.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal_column, or_, select
from sqlalchemy.orm import Session

from app.checks.engine.types import Severity
from app.jobs import queue
from app.models import (
    Alert,
    Channel,
    Delivery,
    DmarcReport,
    Email,
    ReportFile,
    RollupQueueEntry,
    Scan,
)

LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Backlog:
    """Waiting items of one kind.

    queue   whose worker does the work
    count   at most LIMIT
    oldest  when the item that waits longest began to wait, of the counted ones; None without any
    """

    queue: str
    work: str
    count: int
    oldest: datetime | None

    def seconds(self, now: datetime) -> float:
        """Return how long the oldest item has been waiting; 0 without any."""
        return max(0.0, (now - self.oldest).total_seconds()) if self.oldest else 0.0


def read(session: Session, now: datetime) -> Iterator[Backlog]:
    """Yield the backlog of each kind of work."""
    for work, queue_name, count in _KINDS:
        yield Backlog(queue_name, work, *count(session, now))


def running_scans(session: Session) -> int:
    """Return the number of running scans, at most LIMIT."""
    rows = select(Scan.id).where(_is("running")).limit(LIMIT).subquery()
    return session.scalar(select(func.count()).select_from(rows)) or 0


def failed_rollups(session: Session) -> int:
    """Return how many of the LIMIT oldest reports in the queue could not be rolled up."""
    rows = select(RollupQueueEntry.failed).order_by(RollupQueueEntry.report_id).limit(LIMIT)
    entries = rows.subquery()
    failed = select(func.count()).select_from(entries).where(entries.c.failed)
    return session.scalar(failed) or 0


def open_alerts(session: Session) -> Mapping[str, int]:
    """Return the number of open alerts by severity, of at most LIMIT that are not resolved."""
    is_live: ColumnElement[bool] = literal_column("status <> 'resolved'")
    # In the order of uq_alerts_live; otherwise SQLite may read all alerts.
    order = Alert.domain_id, Alert.type, Alert.subject
    live = (
        select(Alert.severity, Alert.status).where(is_live).order_by(*order).limit(LIMIT).subquery()
    )
    rows = session.execute(
        select(live.c.severity, func.count())
        .where(live.c.status == "open")
        .group_by(live.c.severity)
    )
    counts: dict[str, int] = dict.fromkeys(Severity, 0)
    for severity, count in rows:
        counts[severity] = count
    return counts


Count = tuple[int, datetime | None]


def _scans(session: Session, _: datetime) -> Count:
    waiting = select(Scan.requested_at.label("since")).where(_is("queued"))
    return _count(session, waiting.order_by(Scan.enqueued_at))


def _is(status: str) -> ColumnElement[bool]:
    """The condition of the partial index of scans with this status."""
    condition: ColumnElement[bool] = literal_column(f"status = '{status}'")
    return condition


def _report_files(session: Session, _: datetime) -> Count:
    since = func.coalesce(ReportFile.retried_at, ReportFile.received_at, type_=_TIME)
    waiting = select(since.label("since")).where(literal_column("status = 'received'"))
    return _count(session, waiting.order_by(ReportFile.enqueued_at))


def _rollups(session: Session, _: datetime) -> Count:
    """Reports that the analytics do not include yet; the first one was received first."""
    entries = select(RollupQueueEntry.report_id, RollupQueueEntry.failed)
    rows = entries.order_by(RollupQueueEntry.report_id).limit(LIMIT).subquery()
    count = session.scalar(select(func.count()).select_from(rows).where(~rows.c.failed)) or 0
    first = select(rows.c.report_id).where(~rows.c.failed).order_by(rows.c.report_id).limit(1)
    received_at = select(DmarcReport.received_at).where(DmarcReport.id == first.scalar_subquery())
    return count, session.scalar(received_at)


def _deliveries(session: Session, now: datetime) -> Count:
    """Pending deliveries, and since when the first of those is due that may be attempted."""
    pending = (
        select(Delivery.channel_id, Delivery.next_at)
        .where(literal_column("status = 'pending'"))
        .order_by(Delivery.channel_id, Delivery.next_at)
        .limit(LIMIT)
        .subquery()
    )
    is_due = (
        pending.c.next_at <= now,
        Channel.disabled_at.is_(None),
        or_(Channel.backoff_until.is_(None), Channel.backoff_until <= now),
    )
    oldest = (
        select(func.min(pending.c.next_at))
        .join(Channel, Channel.id == pending.c.channel_id)
        .where(*is_due)
    )
    count = session.scalar(select(func.count()).select_from(pending)) or 0
    return count, session.scalar(oldest)


def _emails(session: Session, _: datetime) -> Count:
    is_queued = Email.next_attempt_at.is_not(None)
    waiting = select(Email.created_at.label("since")).where(is_queued)
    return _count(session, waiting.order_by(Email.next_attempt_at))


def _count(session: Session, waiting: Select[Any]) -> Count:
    rows = waiting.limit(LIMIT).subquery()
    count, oldest = session.execute(select(func.count(), func.min(rows.c.since))).one()
    return count, oldest


_TIME = ReportFile.received_at.type
_KINDS: tuple[tuple[str, str, Callable[[Session, datetime], Count]], ...] = (
    ("scans", queue.SCANS, _scans),
    ("report_files", queue.INGEST, _report_files),
    ("rollups", queue.INGEST, _rollups),
    ("deliveries", queue.DELIVERY, _deliveries),
    ("emails", queue.DELIVERY, _emails),
)

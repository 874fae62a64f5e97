"""What an operator's monitoring asks for: how much waits, how old it is, what went wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from app.db import transactions
from app.db.transactions import transaction
from app.jobs import queue
from app.models import Alert, Delivery, Email, ReportFile, RollupQueueEntry, Scan
from app.models.reports import RECEIVED
from app.models.scans import UNFINISHED

Samples = Mapping[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number that goes up and down, for each combination of its labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    samples: Samples = field(default_factory=dict)


def gauges() -> list[Gauge]:
    """All of them, as they are now; those of a queue are left out while Redis is away."""
    with transaction(readonly=True) as session:
        found = list(_of_rows(session, transactions.now(session)))
    lengths = {(name,): queue.length(name) for name in queue.QUEUES}
    known: Samples = {
        labels: float(length) for labels, length in lengths.items() if length is not None
    }
    return [*found, Gauge("queue_jobs", "Jobs that wait in Redis", ("queue",), known)]


def _of_rows(session: Session, now: datetime) -> Iterator[Gauge]:
    by_state = session.execute(
        select(ReportFile.status, func.coalesce(ReportFile.reason, ""), func.count()).group_by(
            ReportFile.status, ReportFile.reason
        )
    )
    yield Gauge("report_files", "Report files", ("status", "reason"), _counted(by_state))
    since = func.coalesce(ReportFile.retried_at, ReportFile.received_at)
    yield _age(
        session, now, "report_file_oldest_received_seconds", since, ReportFile.status == RECEIVED
    )
    uncounted = session.execute(
        select(
            case((RollupQueueEntry.failed, "failed"), else_="pending").label("status"),
            func.count(),
        ).group_by("status")
    )
    waiting = {("pending",): 0.0, ("failed",): 0.0} | _counted(uncounted)
    yield Gauge(
        "rollup_queue_reports", "Reports that are not in the analytics yet", ("status",), waiting
    )
    scans = session.execute(
        select(Scan.status, func.count()).where(Scan.status.in_(UNFINISHED)).group_by(Scan.status)
    )
    known = {(status,): 0.0 for status in UNFINISHED} | _counted(scans)
    yield Gauge("scans", "Scans that have not ended", ("status",), known)
    yield _age(
        session, now, "scan_oldest_queued_seconds", Scan.requested_at, Scan.status == "queued"
    )
    alerts = session.execute(
        select(Alert.severity, func.count()).where(Alert.status == "open").group_by(Alert.severity)
    )
    yield Gauge("alerts_open", "Open alerts", ("severity",), _counted(alerts))
    deliveries = session.execute(
        select(Delivery.status, func.count())
        .where(Delivery.status.in_(("pending", "dead")))
        .group_by(Delivery.status)
    )
    yield Gauge("deliveries", "Events to be sent, or given up", ("status",), _counted(deliveries))
    yield from _of_emails(session, now)


def _of_emails(session: Session, now: datetime) -> Iterator[Gauge]:
    by_status = session.execute(
        select(Email.kind, Email.status, func.count()).group_by(Email.kind, Email.status)
    )
    summary = "Emails to people of the last 30 days"
    yield Gauge("emails", summary, ("kind", "status"), _counted(by_status))
    is_queued = Email.status == "queued"
    yield _age(session, now, "email_oldest_queued_seconds", Email.created_at, is_queued)


def _counted(rows: Any) -> dict[tuple[str, ...], float]:
    return {tuple(row[:-1]): float(row[-1]) for row in rows}


def _age(session: Session, now: datetime, name: str, column: Any, waits: Any) -> Gauge:
    oldest = session.scalar(select(func.min(column)).where(waits))
    seconds = max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
    return Gauge(name, "Age of the oldest that waits; 0 if none does", (), {(): seconds})

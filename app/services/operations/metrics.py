"""Metrics of the service: how much work is queued, how old it is, and what has failed."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import BigInteger, ColumnElement, case, cast, func, select, true
from sqlalchemy.orm import Session

from app.db import transactions
from app.db.transactions import transaction
from app.jobs import queue
from app.models import (
    Alert,
    Delivery,
    DmarcReport,
    Email,
    ReportFile,
    RollupQueueEntry,
    Scan,
    TlsReport,
)
from app.models.reports import RECEIVED, is_partial
from app.models.scans import UNFINISHED
from app.protocols.report_formats import deviations

PREFIX = "mailwatch_"
SKIPPED_DAYS = 7
SKIPPED_KINDS: Mapping[str, Any] = {"dmarc": DmarcReport, "tls": TlsReport}


class ServiceCollector(Collector):
    """Collects the metrics from the database and the queues."""

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics with their current values.

        While Redis is unavailable, ``queue_jobs`` has no samples.

        raises  ServiceUnavailable if the database is unavailable
        """
        with transaction(readonly=True) as session:
            now = transactions.now(session)
            yield from _report_files(session, now)
            yield _skipped_records(session, now)
            yield from _scans(session, now)
            yield _alerts(session)
            yield _deliveries(session)
            yield from _emails(session, now)
        lengths = [(name, queue.length(name)) for name in queue.QUEUES]
        known_lengths = [(name, length) for name, length in lengths if length is not None]
        yield _gauge("queue_jobs", "Jobs waiting in Redis", ["queue"], known_lengths)


def _report_files(session: Session, now: datetime) -> Iterator[Metric]:
    counts = session.execute(
        select(ReportFile.status, func.coalesce(ReportFile.reason, ""), func.count()).group_by(
            ReportFile.status, ReportFile.reason
        )
    )
    yield _gauge("report_files", "Report files", ["status", "reason"], counts)
    since = func.coalesce(ReportFile.retried_at, ReportFile.received_at)
    oldest = _oldest(session, since, ReportFile.status == RECEIVED)
    yield _age("report_file_oldest_received_seconds", oldest, now)
    status = case((RollupQueueEntry.failed, "failed"), else_="pending").label("status")
    entries = session.execute(select(status, func.count()).group_by("status"))
    summary = "Reports that the analytics do not include yet"
    yield _gauge(
        "rollup_queue_reports", summary, ["status"], _with_zeros(entries, ["pending", "failed"])
    )


def _skipped_records(session: Session, now: datetime) -> Metric:
    """What could not be read in reports that were received in the last SKIPPED_DAYS.

    A reason that this release does not know counts as ``other``, so that the labels are bounded.
    """
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    each = func.json_each if is_sqlite else func.json_each_text
    counts = dict.fromkeys(itertools.product(SKIPPED_KINDS, (*deviations.REASONS, "other")), 0)
    for kind, table in SKIPPED_KINDS.items():
        reasons = each(table.skipped_reasons).table_valued("key", "value", name="reasons")
        sums = (
            select(reasons.c.key, func.sum(cast(reasons.c.value, BigInteger)))
            .select_from(table)
            .join(reasons, true())
            .where(
                is_partial(table.skipped_count),
                table.received_at > now - timedelta(days=SKIPPED_DAYS),
            )
            .group_by(reasons.c.key)
        )
        for reason, number in session.execute(sums):
            counts[kind, reason if reason in deviations.REASONS else "other"] += int(number)
    summary = f"Records that could not be read in the reports of the last {SKIPPED_DAYS} days"
    rows = [(*labels, number) for labels, number in counts.items()]
    return _gauge("skipped_records", summary, ["kind", "reason"], rows)


def _scans(session: Session, now: datetime) -> Iterator[Metric]:
    counts = session.execute(
        select(Scan.status, func.count()).where(Scan.status.in_(UNFINISHED)).group_by(Scan.status)
    )
    summary = "Queued and running scans"
    yield _gauge("scans", summary, ["status"], _with_zeros(counts, UNFINISHED))
    oldest = _oldest(session, Scan.requested_at, Scan.status == "queued")
    yield _age("scan_oldest_queued_seconds", oldest, now)


def _alerts(session: Session) -> Metric:
    counts = session.execute(
        select(Alert.severity, func.count()).where(Alert.status == "open").group_by(Alert.severity)
    )
    return _gauge("alerts_open", "Open alerts", ["severity"], counts)


def _deliveries(session: Session) -> Metric:
    counts = session.execute(
        select(Delivery.status, func.count())
        .where(Delivery.status.in_(("pending", "dead")))
        .group_by(Delivery.status)
    )
    return _gauge("deliveries", "Pending and dead deliveries of events", ["status"], counts)


def _emails(session: Session, now: datetime) -> Iterator[Metric]:
    counts = session.execute(
        select(Email.kind, Email.status, func.count()).group_by(Email.kind, Email.status)
    )
    summary = "Emails to people in the last 30 days"
    yield _gauge("emails", summary, ["kind", "status"], counts)
    oldest = _oldest(session, Email.created_at, Email.status == "queued")
    yield _age("email_oldest_queued_seconds", oldest, now)


def _gauge(name: str, summary: str, labels: Sequence[str], rows: Iterable[Any]) -> Metric:
    """Return a gauge; a row is the value of each label, and the number."""
    gauge = GaugeMetricFamily(PREFIX + name, summary, labels=labels)
    for *values, number in rows:
        gauge.add_metric(values, number)
    return gauge


def _with_zeros(rows: Iterable[Any], statuses: Sequence[str]) -> Iterable[Any]:
    counts: dict[str, int] = dict.fromkeys(statuses, 0)
    for status, count in rows:
        counts[status] = count
    return counts.items()


def _oldest(session: Session, column: Any, condition: ColumnElement[bool]) -> datetime | None:
    oldest: datetime | None = session.scalar(select(func.min(column)).where(condition))
    return oldest


def _age(name: str, oldest: datetime | None, now: datetime) -> Metric:
    seconds = max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
    summary = "Age of the oldest queued item in seconds; 0 if there is none"
    return GaugeMetricFamily(PREFIX + name, summary, value=seconds)

"""The queue of reports that are not in the rollups yet, and the worker that rolls them up.

A report is queued in the transaction that stores it, and rolled up in a later one together with
other reports of its domain, so that shared rows are written once. A service that reads a domain's
figures first calls ``drain_domain``, so that no figure lacks a report that was stored before.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, Select, Text, bindparam, cast, delete, exists, func, select, update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from app.db.transactions import fetch_all, transaction
from app.errors import ServiceUnavailable
from app.jobs import queue
from app.models import DmarcRecord, DmarcReport, Domain, RollupQueueEntry
from app.protocols.report_formats.aggregate import DkimResult, Reason, Record, SpfResult
from app.services.core import domain_lookup
from app.services.rollups import rollups
from app.services.rollups.rollups import Counts, ReportCounts

logger = logging.getLogger(__name__)

RECORD_BATCH_SIZE = 10_000  # approximately; the domain is locked while they are processed
REPORT_BATCH_SIZE = 1_000
DOMAIN_BATCH_SIZE = 1_000
MAX_RUN_SECONDS = 30.0
MAX_WAIT_SECONDS = 5.0  # the longest that a reader waits for the rollup

_WAITS = ~RollupQueueEntry.failed


def enqueue(session: Session, reports: Sequence[Mapping[str, Any]]) -> None:
    """Queue reports that are being stored, in the caller's transaction.

    reports  the columns of their rows
    """
    rows = [
        {"report_id": row["id"], "domain_id": row["domain_id"], "records": row["record_count"]}
        for row in reports
    ]
    if rows:
        session.connection().execute(RollupQueueEntry.__table__.insert(), rows)  # type: ignore[attr-defined]


def unroll(session: Session, report_id: UUID) -> None:
    """Remove a report from the rollups or the queue before it is deleted; in the same transaction.

    It reads the stored rows: to change a report, call this first, change it, and queue it again.
    """
    dequeued = delete(RollupQueueEntry).where(RollupQueueEntry.report_id == report_id)
    if session.scalar(dequeued.returning(RollupQueueEntry.report_id)) is None:
        for reports in _report_counts(session, _heads(session, [report_id])):
            for report in reports:
                rollups.remove(session, report)


def pending_count(session: Session, domain_id: UUID) -> int:
    """Return the number of stored reports of a domain that are not rolled up, also failed ones.

    It runs in the caller's transaction.
    """
    return session.connection().scalar(_COUNT, {"domain_id": domain_id}) or 0


_COUNT = select(func.count()).where(RollupQueueEntry.domain_id == bindparam("domain_id"))


def has_pending(session: Session, domain_id: UUID) -> bool:
    """Return whether reports of the domain are still queued, in the caller's transaction."""
    is_queued = exists().where(_WAITS, RollupQueueEntry.domain_id == domain_id)
    return bool(session.scalar(select(is_queued)))


def drain_domain(account_id: UUID, ref: str) -> None:
    """Roll up the queued reports of the account's domain with this id or name, if there is one.

    A read that follows has all reports that were stored before this call, unless so many are
    queued that the rollup takes longer than MAX_WAIT_SECONDS.
    """
    key = domain_lookup.key_of(ref)
    parameters = {"account_id": account_id, "key": key}
    if domain_ids := fetch_all(_queued_domain(isinstance(key, UUID)), parameters):
        drain_domains([row[0] for row in domain_ids])


@cache
def _queued_domain(is_id: bool) -> Select[UUID]:
    """The domain with this id or name, if it has queued reports."""
    return (
        select(RollupQueueEntry.domain_id)
        .join(Domain, Domain.id == RollupQueueEntry.domain_id)
        .where(
            _WAITS,
            Domain.account_id == bindparam("account_id"),
            (Domain.id if is_id else Domain.name) == bindparam("key"),
        )
        .limit(1)
    )


def drain_domains(domain_ids: Sequence[UUID]) -> None:
    """Roll up the queued reports of these domains, for at most MAX_WAIT_SECONDS."""
    until = time.monotonic() + MAX_WAIT_SECONDS
    with suppress(ServiceUnavailable):  # another transaction locks a domain for long
        for domain_id in domain_ids:
            while time.monotonic() < until and _drain_batch(domain_id, waits_for_lock=True):
                pass


def drain(*, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Roll up queued reports for MAX_RUN_SECONDS, a batch of each domain in rotation.

    returns  the number of reports; domains that another transaction locks are left for the next run
    """
    until = time.monotonic() + MAX_RUN_SECONDS
    with transaction(readonly=True) as session:
        domain_ids = session.scalars(
            select(RollupQueueEntry.domain_id).where(_WAITS).distinct().limit(DOMAIN_BATCH_SIZE)
        ).all()
    count = 0
    due = deque(domain_ids)
    with suppress(ServiceUnavailable):
        while due and not is_stopping() and time.monotonic() < until:
            domain_id = due.popleft()
            if rolled_up := _drain_batch(domain_id, waits_for_lock=False):
                count += rolled_up
                due.append(domain_id)
    return count


def enqueue_if_pending() -> None:
    """Enqueue a job if reports are queued and no report file is waiting."""
    with transaction(readonly=True) as session:
        is_queued = session.scalar(select(RollupQueueEntry.report_id).where(_WAITS).limit(1))
    if is_queued and queue.is_idle(queue.INGEST):
        queue.enqueue_report_files([])


def _drain_batch(domain_id: UUID, *, waits_for_lock: bool) -> int:
    """Roll up a batch of a domain's reports, and return how many left the queue.

    waits_for_lock  whether to wait for a lock on the domain
    """
    try:
        counted = _counted(domain_id)
        with transaction() as session:
            report_ids = take_batch(_pending(session, domain_id, waits_for_lock=waits_for_lock))
            if report_ids:
                _roll_up(session, domain_id, report_ids, counted)
        return len(report_ids)
    except ServiceUnavailable:
        raise
    except Exception:  # one bad report must not stop the others
        logger.exception("failed to roll up reports", extra={"domain_id": str(domain_id)})
    with transaction() as session:
        first = _pending(session, domain_id, waits_for_lock=waits_for_lock)[:1]
        for report_id, _ in first:
            _roll_up_or_mark_failed(session, domain_id, report_id)
        return len(first)


def _pending(
    session: Session, domain_id: UUID, *, waits_for_lock: bool
) -> Sequence[Row[UUID, int]]:
    """(id, records) of a domain's queued reports, locked after the domain, as when storing.

    returns  none if another transaction locks the domain and ``waits_for_lock`` is False
    """
    domain = (
        select(Domain.id)
        .where(Domain.id == domain_id)
        # Inserts of rows that reference the domain need not wait.
        .with_for_update(key_share=True, skip_locked=not waits_for_lock)
    )
    if session.scalar(domain) is None:
        return []
    return session.execute(_queued(domain_id).with_for_update()).all()


def _queued(domain_id: UUID) -> Select[UUID, int]:
    return (
        select(RollupQueueEntry.report_id, RollupQueueEntry.records)
        .where(RollupQueueEntry.domain_id == domain_id, _WAITS)
        .order_by(RollupQueueEntry.report_id)
        .limit(REPORT_BATCH_SIZE)
    )


def take_batch(rows: Sequence[Row[UUID, int]]) -> list[UUID]:
    """Return the first reports with about RECORD_BATCH_SIZE records."""
    report_ids: list[UUID] = []
    total = 0
    for report_id, records in rows:
        total += records
        if report_ids and total > RECORD_BATCH_SIZE:
            break
        report_ids.append(report_id)
    return report_ids


@dataclass(frozen=True, slots=True)
class _Counted:
    """What reports add to the rollups.

    heads  the columns of the reports from which it was counted
    parts  the counts; those of large reports come in several parts
    """

    heads: Mapping[UUID, Any]
    parts: Sequence[Counts]


def _counted(domain_id: UUID) -> _Counted:
    """Count the next batch before the transaction that locks the domain, on SQLite all writers."""
    with transaction(readonly=True, snapshot=True) as session:
        report_ids = take_batch(session.execute(_queued(domain_id)).all())
        return _count(session, report_ids)


def _count(session: Session, report_ids: Sequence[UUID]) -> _Counted:
    heads = _heads(session, report_ids)
    return _Counted(heads, [rollups.count(reports) for reports in _report_counts(session, heads)])


def _roll_up(
    session: Session, domain_id: UUID, report_ids: Sequence[UUID], counted: _Counted | None = None
) -> None:
    """Roll up these reports, with their counts if these are still those of the same reports."""
    if counted is None or counted.heads != _heads(session, report_ids):
        counted = _count(session, report_ids)
    for counts in counted.parts:
        rollups.add(session, domain_id, counts)
    session.execute(delete(RollupQueueEntry).where(RollupQueueEntry.report_id.in_(report_ids)))


def _roll_up_or_mark_failed(session: Session, domain_id: UUID, report_id: UUID) -> None:
    try:
        with session.begin_nested():
            _roll_up(session, domain_id, [report_id])
    except (OperationalError, InterfaceError):  # the database, not the report
        raise
    except Exception:
        logger.exception("failed to roll up report", extra={"report_id": str(report_id)})
        session.execute(
            update(RollupQueueEntry)
            .where(RollupQueueEntry.report_id == report_id)
            .values(failed=True)
        )


def _heads(session: Session, report_ids: Sequence[UUID]) -> Mapping[UUID, Any]:
    """The columns of stored reports that are counted with their records."""
    rows = session.execute(
        select(
            DmarcReport.id,
            DmarcReport.record_count,
            DmarcReport.domain_id,
            DmarcReport.reporter,
            DmarcReport.provenance,
            DmarcReport.begin_at,
            DmarcReport.end_at,
            DmarcReport.days,
        ).where(DmarcReport.id.in_(report_ids))
    )
    return {row.id: row for row in rows}


def _report_counts(session: Session, heads: Mapping[UUID, Any]) -> Iterator[list[ReportCounts]]:
    """The contents of stored reports; large reports come in parts."""
    longest = max((row.record_count for row in heads.values()), default=0)
    for start in range(0, longest, RECORD_BATCH_SIZE):
        by_id = {id: _without_records(row) for id, row in heads.items()}
        part = {"report_ids": list(heads), "start": start, "stop": start + RECORD_BATCH_SIZE}
        for record in session.connection().execute(_RECORDS, part).all():
            by_id[record[0]].records.append(_as_read(record))
        yield list(by_id.values())


def _without_records(row: Any) -> ReportCounts:
    return ReportCounts(
        domain_id=row.domain_id,
        reporter=row.reporter,
        provenance=row.provenance,
        begin_at=row.begin_at,
        end_at=row.end_at,
        days=row.days,
        records=[],
    )


_RECORDS = select(
    DmarcRecord.report_id,
    DmarcRecord.source_ip,
    DmarcRecord.count,
    DmarcRecord.disposition,
    DmarcRecord.dkim,
    DmarcRecord.spf,
    DmarcRecord.header_from,
    DmarcRecord.envelope_from,
    # As text, because few values differ and each is parsed once.
    *(
        cast(column, Text)
        for column in (DmarcRecord.reasons, DmarcRecord.dkim_results, DmarcRecord.spf_results)
    ),
).where(
    DmarcRecord.report_id.in_(bindparam("report_ids", expanding=True)),
    DmarcRecord.position >= bindparam("start"),
    DmarcRecord.position < bindparam("stop"),
)


def _as_read(row: Sequence[Any]) -> Record:
    """The row as ``protocols.dmarc_report`` parsed it, without the envelope recipient."""
    _, ip, count, disposition, dkim, spf, author, envelope, reasons, signatures, senders = row
    return Record(
        source_ip=ip,
        count=count,
        disposition=disposition,
        dkim=dkim,
        spf=spf,
        header_from=author,
        envelope_from=envelope,
        envelope_to=None,
        reasons=_reasons(reasons),
        dkim_results=_dkim_results(signatures),
        spf_results=_spf_results(senders),
    )


@lru_cache(maxsize=1_024)
def _reasons(text: str | None) -> tuple[Reason, ...]:
    return tuple(Reason(item["type"], item["comment"]) for item in _listed(text))


@lru_cache(maxsize=4_096)
def _dkim_results(text: str | None) -> tuple[DkimResult, ...]:
    return tuple(
        DkimResult(item["domain"], item["selector"], item["result"]) for item in _listed(text)
    )


@lru_cache(maxsize=4_096)
def _spf_results(text: str | None) -> tuple[SpfResult, ...]:
    return tuple(SpfResult(item["domain"], item["scope"], item["result"]) for item in _listed(text))


def _listed(text: str | None) -> list[dict[str, Any]]:
    """The list in a JSON column, which may be NULL or JSON's null."""
    return (text and orjson.loads(text)) or []

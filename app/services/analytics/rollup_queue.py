"""When reports are added up: soon after they are stored, many at a time, and before anyone asks.

A report is noted in the transaction that stores it, and counted in one of its own, with others of
its domain: what they have in common is written once. Whoever asks what a domain's reports add up
to has those counted first that still wait, so that no answer lacks one that was stored before.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, Text, bindparam, cast, delete, exists, func, select, update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from app.db.transactions import transaction
from app.errors import ServiceUnavailable
from app.jobs import queue
from app.models import DmarcRecord, DmarcReport, Domain, RollupQueueEntry
from app.protocols.report_formats.aggregate import DkimResult, Reason, Record, SpfResult
from app.services.analytics import rollups
from app.services.analytics.rollups import ReportCounts
from app.services.core import domain_lookup

logger = logging.getLogger(__name__)

RECORD_BATCH_SIZE = 10_000  # about; a domain is locked until they are counted
REPORT_BATCH_SIZE = 1_000
DOMAIN_BATCH_SIZE = 1_000
MAX_RUN_SECONDS = 30.0
MAX_WAIT_SECONDS = 5.0  # that whoever asks waits for it at most

_WAITS = ~RollupQueueEntry.failed


def enqueue(session: Session, reports: Sequence[Mapping[str, Any]]) -> None:
    """Note that reports which are being stored are to be counted; a step.

    reports  the columns of their rows
    """
    rows = [
        {"report_id": row["id"], "domain_id": row["domain_id"], "records": row["record_count"]}
        for row in reports
    ]
    if rows:
        session.connection().execute(RollupQueueEntry.__table__.insert(), rows)  # type: ignore[attr-defined]


def unroll(session: Session, report_id: UUID) -> None:
    """Have a report not counted that is about to be deleted, with its records; a step.

    It goes by the rows: to change a report, take it back first, change it, and note it again.
    """
    noted = delete(RollupQueueEntry).where(RollupQueueEntry.report_id == report_id)
    if session.scalar(noted.returning(RollupQueueEntry.report_id)) is None:
        for told in _report_counts(session, [report_id]):
            for report in told:
                rollups.remove(session, report)


@contextmanager
def snapshot(account_id: UUID, ref: str) -> Iterator[tuple[Session, Domain]]:
    """One moment of a domain, to be read: all reports are counted that were stored before it.

    Except where somebody is storing or counting so many that waiting for that takes too long.

    raises  NotFound
    """
    with transaction(readonly=True, snapshot=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        if not has_pending(session, domain.id):
            yield session, domain
            return
    pending_count(domain.id)
    with transaction(readonly=True, snapshot=True) as session:
        yield session, domain_lookup.owned(session, account_id, ref)


def pending(domain_id: UUID) -> int:
    """How many reports about a domain are stored and not counted, or set aside."""
    statement = select(func.count()).where(RollupQueueEntry.domain_id == domain_id)
    with transaction(readonly=True) as session:
        return session.scalar(statement) or 0


def has_pending(session: Session, domain_id: UUID) -> bool:
    """Whether reports about the domain are stored, and still to be counted; a step."""
    found = exists().where(_WAITS, RollupQueueEntry.domain_id == domain_id)
    return bool(session.scalar(select(found)))


def pending_count(*domain_ids: UUID) -> None:
    """Count the reports of these domains that wait, as far as there is time for it."""
    until = time.monotonic() + MAX_WAIT_SECONDS
    with suppress(ServiceUnavailable):  # somebody holds a domain, and for long
        for domain_id in domain_ids:
            while time.monotonic() < until and _drain_some(domain_id, is_patient=True):
                pass


def account_pending_count(account_id: UUID) -> None:
    """As ``count_of``, for all domains of an account."""
    with transaction(readonly=True) as session:
        found = session.scalars(
            select(RollupQueueEntry.domain_id)
            .join(Domain, Domain.id == RollupQueueEntry.domain_id)
            .where(_WAITS, Domain.account_id == account_id)
            .distinct()
            .limit(DOMAIN_BATCH_SIZE)
        ).all()
    pending_count(*found)


def drain(*, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Count the reports that wait, a few of each domain in turn, as long as files may wait for it.

    returns  how many; those of domains that somebody holds are left to the next time
    """
    until = time.monotonic() + MAX_RUN_SECONDS
    with transaction(readonly=True) as session:
        found = session.scalars(
            select(RollupQueueEntry.domain_id).where(_WAITS).distinct().limit(DOMAIN_BATCH_SIZE)
        ).all()
    count = 0
    due = deque(found)
    with suppress(ServiceUnavailable):
        while due and not is_stopping() and time.monotonic() < until:
            domain_id = due.popleft()
            if counted := _drain_some(domain_id, is_patient=False):
                count += counted
                due.append(domain_id)
    return count


def enqueue_if_pending() -> None:
    """Have a worker count what waits although none has files to read."""
    with transaction(readonly=True) as session:
        waits = session.scalar(select(RollupQueueEntry.report_id).where(_WAITS).limit(1))
    if waits and queue.is_idle(queue.INTAKE):
        queue.enqueue_report_files([])


def _drain_some(domain_id: UUID, *, is_patient: bool) -> int:
    """Count a few of a domain's reports; how many it were that wait no longer.

    is_patient  wait for whoever holds the domain
    """
    try:
        with transaction() as session:
            chosen = take_batch(_pending(session, domain_id, is_patient=is_patient))
            if chosen:
                _roll_up(session, domain_id, chosen)
        return len(chosen)
    except ServiceUnavailable:
        raise
    except Exception:  # a defect that one report shows must cost only that one
        logger.exception("reports not counted", extra={"domain_id": str(domain_id)})
    with transaction() as session:
        first = _pending(session, domain_id, is_patient=is_patient)[:1]
        for report_id, _ in first:
            _roll_up_or_mark_failed(session, domain_id, report_id)
        return len(first)


def _pending(session: Session, domain_id: UUID, *, is_patient: bool) -> Sequence[Row[UUID, int]]:
    """(id, records) of a domain's reports that wait, locked; the domain first, as by all who store.

    returns  none if somebody else has the domain and that is not to be waited for
    """
    domain = (
        select(Domain.id)
        .where(Domain.id == domain_id)
        # Whoever inserts what belongs to the domain need not wait.
        .with_for_update(key_share=True, skip_locked=not is_patient)
    )
    if session.scalar(domain) is None:
        return []
    return session.execute(
        select(RollupQueueEntry.report_id, RollupQueueEntry.records)
        .where(RollupQueueEntry.domain_id == domain_id, _WAITS)
        .order_by(RollupQueueEntry.report_id)
        .limit(REPORT_BATCH_SIZE)
        .with_for_update()
    ).all()


def take_batch(rows: Sequence[Row[UUID, int]]) -> list[UUID]:
    """The first of them, as many as are counted at once."""
    chosen: list[UUID] = []
    total = 0
    for report_id, records in rows:
        total += records
        if chosen and total > RECORD_BATCH_SIZE:
            break
        chosen.append(report_id)
    return chosen


def _roll_up(session: Session, domain_id: UUID, report_ids: Sequence[UUID]) -> None:
    for told in _report_counts(session, report_ids):
        rollups.add(session, domain_id, told)
    session.execute(delete(RollupQueueEntry).where(RollupQueueEntry.report_id.in_(report_ids)))


def _roll_up_or_mark_failed(session: Session, domain_id: UUID, report_id: UUID) -> None:
    try:
        with session.begin_nested():
            _roll_up(session, domain_id, [report_id])
    except (OperationalError, InterfaceError):  # the database, not the report
        raise
    except Exception:
        logger.exception("report not counted", extra={"report_id": str(report_id)})
        session.execute(
            update(RollupQueueEntry)
            .where(RollupQueueEntry.report_id == report_id)
            .values(failed=True)
        )


def _report_counts(session: Session, report_ids: Sequence[UUID]) -> Iterator[list[ReportCounts]]:
    """What stored reports say; of a large one in parts, each as if it were one of its own."""
    rows = session.execute(
        select(
            DmarcReport.id, DmarcReport.record_count, DmarcReport.domain_id, DmarcReport.reporter,
            DmarcReport.provenance, DmarcReport.begin_at, DmarcReport.end_at, DmarcReport.days,
        ).where(DmarcReport.id.in_(report_ids))
    ).all()  # fmt: skip
    longest = max((row.record_count for row in rows), default=0)
    for start in range(0, longest, RECORD_BATCH_SIZE):
        told = {row.id: ReportCounts(*row[2:], []) for row in rows}
        part = {"report_ids": report_ids, "start": start, "stop": start + RECORD_BATCH_SIZE}
        for record in session.connection().execute(_RECORDS, part).all():
            told[record[0]].records.append(_as_read(record))
        yield list(told.values())


_RECORDS = select(
    DmarcRecord.report_id, DmarcRecord.source_ip, DmarcRecord.count, DmarcRecord.disposition,
    DmarcRecord.dkim, DmarcRecord.spf, DmarcRecord.header_from, DmarcRecord.envelope_from,
    # As text, for few of them differ: each is read once.
    *(cast(column, Text)
      for column in (DmarcRecord.reasons, DmarcRecord.dkim_results, DmarcRecord.spf_results)),
).where(
    DmarcRecord.report_id.in_(bindparam("report_ids", expanding=True)),
    DmarcRecord.position >= bindparam("start"), DmarcRecord.position < bindparam("stop"),
)  # fmt: skip


def _as_read(row: Sequence[Any]) -> Record:
    """The row as ``protocols.dmarc_report`` read it, but for whom it was sent to."""
    _, ip, count, disposition, dkim, spf, author, envelope, reasons, signatures, senders = row
    return Record(
        ip, count, disposition, dkim, spf, author, envelope, None,
        _reasons(reasons), _dkim_results(signatures), _spf_results(senders),
    )  # fmt: skip


@lru_cache(maxsize=1_024)
def _reasons(text: str | None) -> tuple[Reason, ...]:
    return tuple(Reason(one["type"], one["comment"]) for one in _listed(text))


@lru_cache(maxsize=4_096)
def _dkim_results(text: str | None) -> tuple[DkimResult, ...]:
    return tuple(DkimResult(one["domain"], one["selector"], one["result"]) for one in _listed(text))


@lru_cache(maxsize=4_096)
def _spf_results(text: str | None) -> tuple[SpfResult, ...]:
    return tuple(SpfResult(one["domain"], one["scope"], one["result"]) for one in _listed(text))


def _listed(text: str | None) -> list[dict[str, Any]]:
    """What a JSON column holds, which may be NULL or JSON's null."""
    return (text and orjson.loads(text)) or []

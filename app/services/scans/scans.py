"""Scans for callers: trigger, find and cancel them, one or many at a time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.orm import Session, undefer

from app import ids, settings
from app.db import bulk, transactions
from app.db.transactions import after_commit, transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.jobs import queue
from app.models import BatchScan, Domain, Scan, ScanBatch
from app.models.scans import UNFINISHED
from app.services.core import domain_lookup, lifecycle_log
from app.services.core.lifecycle_log import Lifecycle
from app.services.core.listing import FilteredTable

MAX_BATCH = 5_000

COLUMNS = (
    Scan.id,
    Scan.domain_id,
    Scan.domain_name,
    Scan.status,
    Scan.trigger,
    Scan.requested_at,
    Scan.started_at,
    Scan.finished_at,
    Scan.query_count,
    Scan.score,
    Scan.summary,
    Scan.error,
)


@dataclass(frozen=True, slots=True)
class Triggered:
    """The scan for the caller, and whether it is new.

    outcome  ``created``; ``coalesced``: already queued or running; ``fresh``: finished recently
    """

    scan: Scan
    outcome: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The domains to scan: by id or name, by tag, or all."""

    refs: Sequence[str] = ()
    tag: str | None = None
    all: bool = False


@dataclass(frozen=True, slots=True)
class ScanFilter:
    """Filters for scans; ``domain`` is an id or a name, the times bound ``requested_at``."""

    domain: str | None = None
    status: str | None = None
    trigger: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


_LISTS: FilteredTable[ScanFilter] = FilteredTable(
    table=Scan, columns=COLUMNS, equals=("status", "trigger"), time_column=Scan.requested_at
)


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch and its progress.

    counts       number of scans by status
    scans        rows of (id, domain_name, status, finished_at), in the order of the ids
    finished_at  when the last scan finished; None while any is unfinished
    """

    id: UUID
    requested_at: datetime
    counts: Mapping[str, int]
    scans: Sequence[Row[Any]]
    finished_at: datetime | None


def trigger(
    account_id: UUID,
    ref: str,
    *,
    actor: str,
    trigger: str = "api",
    max_age: timedelta | None = None,
) -> Triggered:
    """Queue a scan of the account's domain, or return the one that is already queued or running.

    max_age  a scan that completed within this time is returned instead of a new one
    raises   NotFound if the account has no such domain
    effects  inserts a scan and, once committed, enqueues a job for it
    """
    with transaction() as session:
        domain = domain_lookup.owned(session, account_id, ref, lock=True)
        if max_age is not None and (fresh := _fresh(session, domain, max_age)):
            return Triggered(fresh, "fresh")
        unfinished = session.scalar(
            select(Scan).where(Scan.domain_id == domain.id, Scan.status.in_(UNFINISHED))
        )
        if unfinished is not None:
            return Triggered(unfinished, "coalesced")
        now = transactions.now(session)
        scan = Scan(
            id=ids.new(),
            account_id=account_id,
            domain_id=domain.id,
            domain_name=domain.name,
            status="queued",
            trigger=trigger,
            requested_by=actor,
            requested_at=now,
            enqueued_at=now,
            attempt=0,
        )
        session.add(scan)
        log(session, Lifecycle.SCAN_QUEUED, scan, trigger=trigger)
        after_commit(session, lambda: queue.enqueue_scans([scan.id], at_front=True))
        return Triggered(scan, "created")


def trigger_many(account_id: UUID, selection: Selection, *, actor: str) -> Batch:
    """Queue scans of many domains; scans that are already queued or running join the batch.

    raises   InvalidRequest if nothing or more than MAX_BATCH is selected, or a name is unknown
    effects  inserts the scans and, once committed, enqueues jobs for them in chunks
    """
    with transaction() as session:
        domains = _selected(session, account_id, selection)
        batch = ScanBatch(
            id=ids.new(),
            account_id=account_id,
            requested_by=actor,
            requested_at=transactions.now(session),
        )
        session.add(batch)
        session.flush()  # the members reference it
        scans = request_many(session, account_id, domains, actor=actor, trigger="api")
        session.execute(
            insert(BatchScan), [{"batch_id": batch.id, "scan_id": scan} for scan in scans]
        )
        batch_id = batch.id
    return find_batch(account_id, batch_id)


def request_many(
    session: Session, account_id: UUID, domains: Mapping[UUID, str], *, actor: str, trigger: str
) -> Sequence[UUID]:
    """Queue scans of these domains (name by id), and return the ids of their unfinished scans."""
    now = transactions.now(session)
    rows = [
        {
            "id": ids.new(),
            "account_id": account_id,
            "domain_id": domain_id,
            "domain_name": name,
            "status": "queued",
            "trigger": trigger,
            "requested_by": actor,
            "requested_at": now,
            "enqueued_at": now,
            "attempt": 0,
        }
        for domain_id, name in domains.items()
    ]
    session.execute(bulk.insert(session, Scan).on_conflict_do_nothing(), rows)
    unfinished = session.execute(
        select(Scan.id, Scan.account_id, Scan.domain_id)
        .where(Scan.domain_id.in_(domains), Scan.status.in_(UNFINISHED))
        .order_by(Scan.id)
    ).all()
    new_ids = {row["id"] for row in rows}
    inserted = [scan for scan in unfinished if scan.id in new_ids]
    for scan in inserted:
        log(session, Lifecycle.SCAN_QUEUED, scan, trigger=trigger)
    after_commit(session, lambda: enqueue([scan.id for scan in inserted]))
    return [scan.id for scan in unfinished]


def log(session: Session, event: Lifecycle, scan: Any, **fields: Any) -> None:
    """Log the event once the caller's transaction is committed.

    scan  the scan, or a row with its id, account_id and domain_id
    """
    lifecycle_log.record(
        session,
        event,
        account_id=scan.account_id,
        domain_id=scan.domain_id,
        scan_id=scan.id,
        **fields,
    )


def log_all(session: Session, event: Lifecycle, scan_ids: Sequence[UUID]) -> None:
    """Log the same event for each of these scans, as ``log``."""
    columns = (Scan.id, Scan.account_id, Scan.domain_id, Scan.attempt)
    for row in session.execute(select(*columns).where(Scan.id.in_(scan_ids))):
        log(session, event, row, attempt=row.attempt)


def enqueue(scan_ids: Sequence[UUID]) -> None:
    """Enqueue the scans, one job per chunk; if Redis is down, the clock enqueues them later."""
    size = settings.current().scan_chunk
    for start in range(0, len(scan_ids), size):
        if not queue.enqueue_scans(scan_ids[start : start + size]):
            return


def search(
    account_id: UUID,
    filters: ScanFilter,
    *,
    cursor_values: Sequence[Any] | None = None,
    limit: int = 50,
) -> tuple[Sequence[Any], list[Any] | None]:
    """Return rows of COLUMNS, newest first, and the cursor values of the next page, if any.

    raises  NotFound if the domain is not in the account
    """
    return _LISTS.matching(account_id, filters).page(cursor_values, limit)


def find(account_id: UUID, scan_id: UUID) -> Scan:
    """Return the scan with its result.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        return _owned(session, account_id, scan_id)


def is_finished(account_id: UUID, scan_id: UUID) -> bool:
    """Return whether the scan is neither queued nor running; a short query.

    raises  NotFound
    """
    statement = select(Scan.status).where(Scan.account_id == account_id, Scan.id == scan_id)
    rows = transactions.fetch_all(statement, {})
    if not rows:
        raise NotFound.of("scan", scan_id)
    return rows[0].status not in UNFINISHED


def find_pair(account_id: UUID, scan_id: UUID, base_id: UUID | None) -> tuple[Scan, Scan | None]:
    """Return the scan and the scan to compare it with: ``base_id``, or the previous completed one.

    raises  NotFound; InvalidRequest if the scans are of different domains
    """
    with transaction(readonly=True) as session:
        scan = _owned(session, account_id, scan_id)
        if base_id is not None:
            base = _owned(session, account_id, base_id)
            if base.domain_id != scan.domain_id:
                message = "must be a scan of the same domain"
                raise InvalidRequest.field("base", message)
            return scan, base
        return scan, session.scalar(
            select(Scan)
            .options(undefer(Scan.result))
            .where(Scan.domain_id == scan.domain_id, Scan.id < scan.id, Scan.status == "completed")
            .order_by(Scan.id.desc())
            .limit(1)
        )


def cancel(account_id: UUID, scan_id: UUID) -> Scan:
    """Cancel a queued scan and return it.

    raises  NotFound; Conflict unless the scan is queued
    """
    with transaction() as session:
        changed = session.execute(
            update(Scan)
            .where(Scan.account_id == account_id, Scan.id == scan_id, Scan.status == "queued")
            .values(status="cancelled", finished_at=transactions.now(session))
        )
        scan = _owned(session, account_id, scan_id)
        if changed.rowcount == 0:  # type: ignore[attr-defined]  # of UPDATE it is a cursor's result
            raise Conflict(f"The scan is {scan.status}. Only queued scans can be cancelled")
        log(session, Lifecycle.SCAN_CANCELLED, scan)
        return scan


def find_batch(account_id: UUID, batch_id: UUID) -> Batch:
    """Return the batch with the status of each scan.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        batch = session.scalar(
            select(ScanBatch).where(ScanBatch.account_id == account_id, ScanBatch.id == batch_id)
        )
        if batch is None:
            raise NotFound.of("batch", batch_id)
        rows: Sequence[Any] = session.execute(
            select(Scan.id, Scan.domain_name, Scan.status, Scan.finished_at)
            .join(BatchScan, BatchScan.scan_id == Scan.id)
            .where(BatchScan.batch_id == batch_id)
            .order_by(Scan.id)
        ).all()
    counts = Counter(row.status for row in rows)
    is_finished = not any(counts[status] for status in UNFINISHED)
    finished_times = [row.finished_at for row in rows if row.finished_at]
    return Batch(
        id=batch.id,
        requested_at=batch.requested_at,
        counts=counts,
        scans=rows,
        finished_at=max(finished_times, default=batch.requested_at) if is_finished else None,
    )


def _owned(session: Session, account_id: UUID, scan_id: UUID) -> Scan:
    scan = session.scalar(
        select(Scan)
        .options(undefer(Scan.result))
        .where(Scan.account_id == account_id, Scan.id == scan_id)
    )
    if scan is None:
        raise NotFound.of("scan", scan_id)
    return scan


def _fresh(session: Session, domain: Domain, max_age: timedelta) -> Scan | None:
    return session.scalar(
        select(Scan)
        .options(undefer(Scan.result))
        .where(
            Scan.domain_id == domain.id,
            Scan.status == "completed",
            Scan.finished_at >= transactions.now(session) - max_age,
        )
        .order_by(Scan.id.desc())
        .limit(1)
    )


def _selected(session: Session, account_id: UUID, selection: Selection) -> dict[UUID, str]:
    """The names of the selected domains by id."""
    statement: Any = select(Domain.id, Domain.name).where(Domain.account_id == account_id)
    if selection.tag is not None:
        statement = domain_lookup.with_tag(statement, selection.tag)
    if selection.all or selection.tag is not None:
        rows = session.execute(statement.order_by(Domain.id).limit(MAX_BATCH + 1)).all()
        domains: dict[UUID, str] = {row.id: row.name for row in rows}
    else:
        domains = _named(session, statement, selection.refs)
    if not domains or len(domains) > MAX_BATCH:
        message = (
            "select at least one domain" if not domains else f"select at most {MAX_BATCH} domains"
        )
        raise InvalidRequest.field("domains", message, "length")
    return domains


def _named(session: Session, statement: Select[Any], refs: Sequence[str]) -> dict[UUID, str]:
    keys = [domain_lookup.key_of(ref) for ref in refs]
    names: dict[UUID, str] = {}
    for start in range(0, len(keys), 500):
        part = keys[start : start + 500]
        by_id = [key for key in part if isinstance(key, UUID)]
        by_name = [key for key in part if isinstance(key, str)]
        rows = session.execute(
            statement.where(Domain.id.in_(by_id) | Domain.name.in_(by_name))
        ).all()
        names |= {row.id: row.name for row in rows}
    existing = {*names, *names.values()}
    unknown = [index for index, key in enumerate(keys) if key not in existing]
    if unknown:
        raise InvalidRequest(
            [
                {
                    "field": f"domains[{index}]",
                    "code": "not_found",
                    "message": f"domain {refs[index][:100]!r} was not found in this account",
                }
                for index in unknown[:100]
            ]
        )
    return names

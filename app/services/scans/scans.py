"""Scans for callers: trigger, find and cancel them."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, literal_column, select, update
from sqlalchemy.orm import Session, undefer

from app import ids, settings
from app.db import bulk, transactions
from app.db.transactions import after_commit, transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.jobs import queue
from app.models import Domain, Scan
from app.models.scans import UNFINISHED
from app.services.core import domain_lookup, lifecycle_log
from app.services.core.lifecycle_log import Lifecycle
from app.services.core.listing import FilteredTable, Listing
from app.services.scheduling.fair_queue import FairQueue

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

# Literals, because databases do not use a partial index for parameters of a prepared statement.
IS_QUEUED: ColumnElement[bool] = literal_column("status = 'queued'")
ORDER = (Scan.is_bulk, Scan.virtual_start)


def _fair_queue(name: str, is_bulk: str) -> FairQueue:
    is_own = f"is_bulk = {is_bulk}"
    return FairQueue(
        name=name,
        table=Scan,
        is_waiting=literal_column(f"status = 'queued' AND {is_own}"),
        is_running=literal_column(f"status = 'running' AND {is_own}"),
    )


_INDIVIDUAL = _fair_queue("scans", "false")
_BULK = _fair_queue("scans.bulk", "true")


@dataclass(frozen=True, slots=True)
class Triggered:
    """The scan for the caller, and whether it is new.

    outcome  ``created``; ``coalesced``: already queued or running; ``fresh``: finished recently
    """

    scan: Scan
    outcome: str


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
            trigger=trigger,
            requested_by=actor,
            requested_at=now,
            enqueued_at=now,
            is_bulk=False,
            virtual_start=_INDIVIDUAL.reserve(session, account_id, 1)[0],
        )
        session.add(scan)
        log(session, Lifecycle.SCAN_QUEUED, scan, trigger=trigger)
        after_commit(session, lambda: queue.enqueue_scans([scan.id], at_front=True))
        return Triggered(scan, "created")


def request_many(
    session: Session, account_id: UUID, domains: Mapping[UUID, str], *, actor: str, trigger: str
) -> Sequence[UUID]:
    """Queue scans of these domains (name by id), and return the ids of their unfinished scans."""
    items = list(domains.items())
    return [
        scan_id
        for start in range(0, len(items), bulk.BATCH_SIZE)
        for scan_id in _request_some(
            session,
            account_id,
            dict(items[start : start + bulk.BATCH_SIZE]),
            actor=actor,
            trigger=trigger,
        )
    ]


def _request_some(
    session: Session, account_id: UUID, domains: Mapping[UUID, str], *, actor: str, trigger: str
) -> Sequence[UUID]:
    is_unfinished = Scan.domain_id.in_(domains) & Scan.status.in_(UNFINISHED)
    scanned = set(session.scalars(select(Scan.domain_id).where(is_unfinished)))
    new = {domain_id: name for domain_id, name in domains.items() if domain_id not in scanned}
    new_ids = _insert(session, account_id, new, actor=actor, trigger=trigger) if new else set()
    columns = (Scan.id, Scan.account_id, Scan.domain_id)
    unfinished = session.execute(select(*columns).where(is_unfinished).order_by(Scan.id)).all()
    inserted = [scan for scan in unfinished if scan.id in new_ids]
    for scan in inserted:
        log(session, Lifecycle.SCAN_QUEUED, scan, trigger=trigger)
    after_commit(session, lambda: enqueue([scan.id for scan in inserted]))
    return [scan.id for scan in unfinished]


def _insert(
    session: Session, account_id: UUID, domains: Mapping[UUID, str], *, actor: str, trigger: str
) -> Set[UUID]:
    """Insert queued scans, except of domains of which another transaction has inserted one."""
    now = transactions.now(session)
    starts = _BULK.reserve(session, account_id, len(domains))
    fixed = {
        "account_id": account_id,
        "status": "queued",
        "trigger": trigger,
        "requested_by": actor,
        "requested_at": now,
        "enqueued_at": now,
        "is_bulk": True,
        "attempt": 0,
    }
    rows = [
        (ids.new().hex, domain_id.hex, name, start)
        for (domain_id, name), start in zip(domains.items(), starts, strict=True)
    ]
    names = ("id", "domain_id", "domain_name", "virtual_start")
    connection = session.connection()
    statement = bulk.insert_values(connection.dialect.name, Scan, names, fixed=list(fixed))
    parameters = {**fixed, **bulk.values_parameters(connection, names, rows)}
    inserted = statement.on_conflict_do_nothing().returning(Scan.id)
    return set(connection.execute(inserted, parameters).scalars())


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


def listing(account_id: UUID, filters: ScanFilter) -> Listing:
    """Return the list of the account's scans that match, newest first.

    raises  NotFound if the domain is not in the account
    """
    return _LISTS.matching(account_id, filters)


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

"""Batches: scans of many domains that were requested together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, insert, select
from sqlalchemy.orm import Session

from app import ids
from app.db import transactions
from app.db.transactions import transaction
from app.errors import InvalidRequest, NotFound
from app.models import BatchScan, Domain, Scan, ScanBatch
from app.models.scans import UNFINISHED
from app.services.core import domain_lookup
from app.services.scans import scans

MAX_NAMED = 5_000  # domains that are listed by name or id


@dataclass(frozen=True, slots=True)
class Selection:
    """The domains to scan: by id or name, by tag, or all."""

    refs: Sequence[str] = ()
    tag: str | None = None
    all: bool = False


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


def trigger(account_id: UUID, selection: Selection, *, actor: str) -> Batch:
    """Queue scans of many domains; scans that are already queued or running join the batch.

    raises   InvalidRequest if nothing is selected, more than MAX_NAMED are listed, or a name is
             unknown
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
        scan_ids = scans.request_many(session, account_id, domains, actor=actor, trigger="api")
        session.execute(
            insert(BatchScan), [{"batch_id": batch.id, "scan_id": scan_id} for scan_id in scan_ids]
        )
        batch_id = batch.id
    return find(account_id, batch_id)


def find(account_id: UUID, batch_id: UUID) -> Batch:
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


def _selected(session: Session, account_id: UUID, selection: Selection) -> dict[UUID, str]:
    """The names of the selected domains by id."""
    statement: Any = select(Domain.id, Domain.name).where(Domain.account_id == account_id)
    if selection.tag is not None:
        statement = domain_lookup.with_tag(statement, selection.tag)
    if selection.all or selection.tag is not None:
        rows = session.execute(statement.order_by(Domain.id)).all()
        domains: dict[UUID, str] = {row.id: row.name for row in rows}
    elif len(selection.refs) > MAX_NAMED:
        message = f"list at most {MAX_NAMED} domains, or use tag or all"
        raise InvalidRequest.field("domains", message, "length")
    else:
        domains = _named(session, statement, selection.refs)
    if not domains:
        raise InvalidRequest.field("domains", "select at least one domain", "length")
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

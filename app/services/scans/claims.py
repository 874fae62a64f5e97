"""Claims of queued scans: which worker runs a scan, until when, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, select, true

from app import settings
from app.checks.engine.types import Subject
from app.db import bulk, query_plans, transactions
from app.db.transactions import after_commit, transaction
from app.models import Scan
from app.services.core.leases import Lease, LeaseTable
from app.services.core.lifecycle_log import Lifecycle
from app.services.scans import scans, subjects

LEASES = LeaseTable(
    key=Scan.id,
    until=Scan.lease_until,
    attempt=Scan.attempt,
    active=Scan.status == "running",
    duration=lambda: settings.current().scan_lease_seconds,
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A scan that this process holds until its lease expires."""

    lease: Lease[UUID]
    domain_id: UUID
    subject: Subject

    @property
    def scan_id(self) -> UUID:
        """The id of the scan."""
        return self.lease.key


def claim(scan_ids: Sequence[UUID]) -> list[Claim]:
    """Claim as many queued scans as there are ids, except claimed or finished ones.

    scan_ids  a single id is claimed itself, before all others. The ids of a chunk only determine
              how many scans are claimed: which ones is decided by fair scheduling over accounts, so
              that no account waits for the thousands of scans that another has queued
    """
    claims = _claim(Scan.id == scan_ids[0], 1) if len(scan_ids) == 1 else []
    missing = len(scan_ids) - len(claims)
    return claims + claim_next(missing) if missing else claims


def claim_next(count: int) -> list[Claim]:
    """Claim up to ``count`` queued scans in fair order; skip those that other workers lock.

    Scans that were requested individually come first, because a person waits for them.
    """
    return _claim(true(), count)


def _claim(condition: ColumnElement[bool], count: int) -> list[Claim]:
    with transaction() as session:
        now = transactions.now(session)
        is_queued = scans.IS_QUEUED & condition
        with query_plans.index_order(session):
            free = LEASES.lock(session, is_queued, order=scans.ORDER, limit=count)
        if not free:
            return []
        leases = LEASES.take(session, free, status="running", started_at=now)
        columns = (Scan.id, Scan.account_id, Scan.domain_id)
        rows = session.execute(select(*columns).where(bulk.is_any(session, Scan.id, free))).all()
        domain_ids = {row.id: row.domain_id for row in rows}
        inputs = subjects.load(session, list(domain_ids.values()), now)
        claims = [
            Claim(lease, domain_ids[lease.key], inputs[domain_ids[lease.key]]) for lease in leases
        ]
        attempts = {lease.key: lease.attempt for lease in leases}
        for row in rows:
            scans.log(session, Lifecycle.SCAN_STARTED, row, attempt=attempts[row.id])
    return claims


def release(claims: Sequence[Claim]) -> None:
    """Release the scans immediately; an unfinished attempt does not count."""
    with transaction() as session:
        leases = [claim.lease for claim in claims]
        values = {"status": "queued", "started_at": None, "enqueued_at": transactions.now(session)}
        scan_ids = LEASES.release(session, leases, **values)
        scans.log_all(session, Lifecycle.SCAN_REQUEUED, scan_ids)
        after_commit(session, lambda: scans.enqueue(scan_ids))

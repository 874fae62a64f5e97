"""Claims of queued scans: which worker runs a scan, until when, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import case, exists, func, or_, select

from app import settings
from app.checks.engine.types import Subject
from app.db import transactions
from app.db.transactions import after_commit, transaction
from app.models import BatchScan, Scan
from app.services.core.leases import Lease, LeaseTable
from app.services.core.lifecycle_log import Lifecycle
from app.services.scans import scans, subjects

MAX_CANDIDATES = (
    4  # candidates for each scan that is claimed, as other workers may lock the first ones
)

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
    claims = _claim(scan_ids, 1) if len(scan_ids) == 1 else []
    return claims + claim_next(len(scan_ids) - len(claims))


def claim_next(count: int) -> list[Claim]:
    """Claim up to ``count`` queued scans in fair order; skip those that other workers lock."""
    claims: list[Claim] = []
    while missing := count - len(claims):
        candidates = _next_fair(missing * MAX_CANDIDATES)
        batch = _claim(candidates, missing) if candidates else []
        if not batch:
            break
        claims += batch
    return claims


def _next_fair(count: int) -> Sequence[UUID]:
    """The queued scans to claim next: first from the account with the fewest running scans.

    Scans that were triggered individually come first, because a person waits for them.
    """
    running = (
        select(Scan.account_id, func.count().label("count"))
        .where(Scan.status == "running")
        .group_by(Scan.account_id)
        .subquery()
    )
    position = func.row_number().over(partition_by=Scan.account_id, order_by=Scan.id)
    is_one_of_many = or_(Scan.trigger == "schedule", exists().where(BatchScan.scan_id == Scan.id))
    queued = (
        select(
            Scan.id,
            Scan.account_id,
            position.label("position"),
            case((is_one_of_many, 1), else_=0).label("is_one_of_many"),
        )
        .where(Scan.status == "queued")
        .subquery()
    )
    turn = queued.c.position + func.coalesce(running.c.count, 0)
    with transaction(readonly=True) as session:
        return session.scalars(
            select(queued.c.id)
            .outerjoin(running, running.c.account_id == queued.c.account_id)
            .order_by(queued.c.is_one_of_many, turn, queued.c.id)
            .limit(count)
        ).all()


def _claim(scan_ids: Sequence[UUID], count: int) -> list[Claim]:
    with transaction() as session:
        now = transactions.now(session)
        free = LEASES.lock_listed(session, scan_ids, Scan.status == "queued", limit=count)
        leases = LEASES.take(session, free, status="running", started_at=now)
        columns = (Scan.id, Scan.account_id, Scan.domain_id)
        rows = session.execute(select(*columns).where(Scan.id.in_(free))).all()
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

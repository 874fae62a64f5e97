"""Claims of queued scans: which worker runs a scan, until when, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, true

from app import settings
from app.checks.engine.types import Subject
from app.db import query_plans, transactions
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


class LeasedScan(NamedTuple):
    """The lease of a scan, without the input of its checks."""

    lease: Lease[UUID]
    account_id: UUID
    domain_id: UUID

    @property
    def id(self) -> UUID:
        """The id of the scan."""
        return self.lease.key


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
    leased = _lease(Scan.id == scan_ids[0], 1) if len(scan_ids) == 1 else []
    if missing := len(scan_ids) - len(leased):
        leased += lease_next(missing)
    return with_subjects(leased)


def claim_next(count: int) -> list[Claim]:
    """Claim up to ``count`` queued scans in fair order; skip those that other workers lock."""
    return with_subjects(lease_next(count))


def lease_next(count: int) -> list[LeasedScan]:
    """Lease the scans of ``claim_next``, in a transaction that is as short as possible.

    Scans that were requested individually come first, because a person waits for them.
    """
    return _lease(true(), count)


def _lease(condition: ColumnElement[bool], count: int) -> list[LeasedScan]:
    with transaction() as session:
        now = transactions.now(session)
        is_queued = scans.IS_QUEUED & condition
        with query_plans.index_order(session):
            free = LEASES.lock(session, is_queued, order=scans.ORDER, limit=count)
        if not free:
            return []
        columns = Scan.account_id, Scan.domain_id
        rows = LEASES.take_rows(session, free, columns, status="running", started_at=now)
        leased = [LeasedScan(*row) for row in rows]
        for scan in leased:
            scans.log(session, Lifecycle.SCAN_STARTED, scan, attempt=scan.lease.attempt)
    return leased


def with_subjects(leased: Sequence[LeasedScan]) -> list[Claim]:
    """Load the input of the checks; skip domains that were deleted in the meantime."""
    if not leased:
        return []
    with transaction(readonly=True) as session:
        now = transactions.now(session)
        inputs = subjects.load(session, [scan.domain_id for scan in leased], now)
    return [
        Claim(scan.lease, scan.domain_id, inputs[scan.domain_id])
        for scan in leased
        if scan.domain_id in inputs
    ]


def release(claims: Sequence[Claim]) -> None:
    """Release the scans immediately; an unfinished attempt does not count."""
    with transaction() as session:
        leases = [claim.lease for claim in claims]
        values = {"status": "queued", "started_at": None, "enqueued_at": transactions.now(session)}
        scan_ids = LEASES.release(session, leases, **values)
        scans.log_all(session, Lifecycle.SCAN_REQUEUED, scan_ids)
        after_commit(session, lambda: scans.enqueue(scan_ids))

"""Claims of queued scans: which worker runs a scan, until when, and in which order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Update, case, exists, func, or_, select, update
from sqlalchemy.orm import Session

from app import settings
from app.checks.engine.types import Subject, Usage
from app.db import transactions
from app.db.transactions import after_commit, transaction
from app.models import BatchScan, Domain, DomainState, Scan
from app.services.ingest import observed_selectors
from app.services.scans import dkim_keys, observed_policies, scans, starttls_probes


@dataclass(frozen=True, slots=True)
class Claim:
    """A scan that this process holds until its lease expires."""

    scan_id: UUID
    domain_id: UUID
    attempt: int
    subject: Subject


def claim(scan_ids: Sequence[UUID]) -> list[Claim]:
    """Claim as many queued scans as there are ids, except claimed or finished ones.

    scan_ids  a single id is claimed itself, before all others. The ids of a chunk only determine
              how many scans are claimed: which ones is decided by fair scheduling over accounts, so
              that no account waits for the thousands of scans that another has queued
    """
    claims = _claim(scan_ids) if len(scan_ids) == 1 else []
    return claims + claim_next(len(scan_ids) - len(claims))


def claim_next(count: int) -> list[Claim]:
    claims: list[Claim] = []
    while len(claims) < count and (scan_ids := _next_fair(count - len(claims))):
        claims += _claim(scan_ids)
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


def _claim(scan_ids: Sequence[UUID]) -> list[Claim]:
    with transaction() as session:
        now = transactions.now(session)
        free = session.scalars(
            select(Scan.id)
            .where(Scan.id.in_(scan_ids), Scan.status == "queued")
            .order_by(Scan.id)
            .with_for_update()
        ).all()
        claimed = session.execute(
            update(Scan)
            .where(Scan.id.in_(free), Scan.status == "queued")
            .values(
                status="running",
                attempt=Scan.attempt + 1,
                started_at=now,
                lease_until=now + settings.current().scan_lease_seconds,
            )
            .returning(Scan.id, Scan.domain_id, Scan.attempt)
        ).all()
        subjects = _subjects(session, [row.domain_id for row in claimed], now)
    return [Claim(row.id, row.domain_id, row.attempt, subjects[row.domain_id]) for row in claimed]


def _subjects(
    session: Session, domain_ids: Sequence[UUID], now: datetime
) -> Mapping[UUID, Subject]:
    """The input of the checks by domain."""
    rows = session.execute(
        select(
            Domain.id, Domain.name, Domain.usage, Domain.dkim_selectors, DomainState.last_results
        )
        .outerjoin(DomainState, DomainState.domain_id == Domain.id)
        .where(Domain.id.in_(domain_ids))
    ).all()
    facts_by_check = {
        row.id: {check: result["facts"] for check, result in (row.last_results or {}).items()}
        for row in rows
    }
    hosts = [
        host for facts in facts_by_check.values() for host in facts.get("mx", {}).get("hosts", ())
    ]
    handshakes = starttls_probes.seen(session, hosts)
    selectors = observed_selectors.seen(session, [row.id for row in rows])
    shared = dkim_keys.shared(session, [row.id for row in rows])
    policies = observed_policies.policies(session, [row.id for row in rows], now)
    return {
        row.id: Subject(
            domain=row.name,
            usage=Usage(row.usage),
            dkim_selectors=tuple(row.dkim_selectors),
            observed_selectors=selectors.get(row.id, ()),
            last_facts=facts_by_check[row.id],
            shared_keys=shared.get(row.id, {}),
            observed=policies.get(row.id, ()),
            tls_probes=handshakes,
            now=now,
        )
        for row in rows
    }


def renew(claims: Sequence[Claim]) -> None:
    with transaction() as session:
        until = transactions.now(session) + settings.current().scan_lease_seconds
        for claimed in claims:
            session.execute(_leased(claimed).values(lease_until=until))


def release(claims: Sequence[Claim]) -> None:
    """Release the scans at once; an unfinished attempt does not count."""
    with transaction() as session:
        now = transactions.now(session)
        for claimed in claims:
            session.execute(
                _leased(claimed).values(
                    status="queued",
                    attempt=Scan.attempt - 1,
                    lease_until=None,
                    started_at=None,
                    enqueued_at=now,
                )
            )
        after_commit(session, lambda: scans.enqueue([claimed.scan_id for claimed in claims]))


def _leased(claimed: Claim) -> Update:
    return update(Scan).where(
        Scan.id == claimed.scan_id, Scan.attempt == claimed.attempt, Scan.status == "running"
    )

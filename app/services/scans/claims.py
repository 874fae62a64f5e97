"""Claims of queued scans: which worker runs a scan, until when, and in which order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Update, case, exists, func, or_, select, update
from sqlalchemy.orm import Session

from app import settings
from app.checks.engine.types import Subject, Usage
from app.db.transactions import after_commit, now, transaction
from app.models import BatchScan, Domain, DomainState, Scan
from app.services.ingest import observed_selectors
from app.services.scans import dkim_keys, observed_policies, scans, starttls_probes


@dataclass(frozen=True, slots=True)
class Claim:
    """A scan that this process has until its lease ends."""

    scan_id: UUID
    domain_id: UUID
    attempt: int
    subject: Subject


def claim(scan_ids: Sequence[UUID]) -> list[Claim]:
    """Take as many queued scans as there are ids; what others have taken or ended is left.

    scan_ids  one that is asked for by itself is taken before all others. Those of a chunk only say
              how many: which ones is decided by turns of the accounts, so that nobody waits for
              the thousands that somebody else has queued
    """
    claims = _claim(scan_ids) if len(scan_ids) == 1 else []
    return claims + claim_next(len(scan_ids) - len(claims))


def claim_next(count: int) -> list[Claim]:
    claims: list[Claim] = []
    while len(claims) < count and (found := _next_fair(count - len(claims))):
        claims += _claim(found)
    return claims


def _next_fair(count: int) -> Sequence[UUID]:
    """The queued scans to take next: the account with the fewest under way has the next turn.

    Before all others are those that were asked for by themselves: somebody is looking at them.
    """
    running = (
        select(Scan.account_id, func.count().label("count"))
        .where(Scan.status == "running")
        .group_by(Scan.account_id)
        .subquery()
    )
    place = func.row_number().over(partition_by=Scan.account_id, order_by=Scan.id)
    is_one_of_many = or_(Scan.trigger == "schedule", exists().where(BatchScan.scan_id == Scan.id))
    queued = (
        select(
            Scan.id,
            Scan.account_id,
            place.label("place"),
            case((is_one_of_many, 1), else_=0).label("is_one_of_many"),
        )
        .where(Scan.status == "queued")
        .subquery()
    )
    turn = queued.c.place + func.coalesce(running.c.count, 0)
    with transaction(readonly=True) as session:
        return session.scalars(
            select(queued.c.id)
            .outerjoin(running, running.c.account_id == queued.c.account_id)
            .order_by(queued.c.is_one_of_many, turn, queued.c.id)
            .limit(count)
        ).all()


def _claim(scan_ids: Sequence[UUID]) -> list[Claim]:
    with transaction() as session:
        moment = now(session)
        free = session.scalars(
            select(Scan.id)
            .where(Scan.id.in_(scan_ids), Scan.status == "queued")
            .order_by(Scan.id)
            .with_for_update()
        ).all()
        taken = session.execute(
            update(Scan)
            .where(Scan.id.in_(free), Scan.status == "queued")
            .values(
                status="running",
                attempt=Scan.attempt + 1,
                started_at=moment,
                lease_until=moment + settings.current().scan_lease_seconds,
            )
            .returning(Scan.id, Scan.domain_id, Scan.attempt)
        ).all()
        subjects = _subjects(session, [row.domain_id for row in taken], moment)
    return [Claim(row.id, row.domain_id, row.attempt, subjects[row.domain_id]) for row in taken]


def _subjects(
    session: Session, domain_ids: Sequence[UUID], moment: datetime
) -> Mapping[UUID, Subject]:
    """What is examined, and all that its checks are told beforehand."""
    rows = session.execute(
        select(
            Domain.id, Domain.name, Domain.usage, Domain.dkim_selectors, DomainState.last_results
        )
        .outerjoin(DomainState, DomainState.domain_id == Domain.id)
        .where(Domain.id.in_(domain_ids))
    ).all()
    known = {
        row.id: {check: found["facts"] for check, found in (row.last_results or {}).items()}
        for row in rows
    }
    hosts = [host for facts in known.values() for host in facts.get("mx", {}).get("hosts", ())]
    handshakes = starttls_probes.seen(session, hosts)
    selected = observed_selectors.seen(session, [row.id for row in rows])
    shared = dkim_keys.shared(session, [row.id for row in rows])
    policies = observed_policies.policies(session, [row.id for row in rows], moment)
    return {
        row.id: Subject(
            domain=row.name,
            usage=Usage(row.usage),
            dkim_selectors=tuple(row.dkim_selectors),
            observed_selectors=selected.get(row.id, ()),
            last_facts=known[row.id],
            shared_keys=shared.get(row.id, {}),
            observed=policies.get(row.id, ()),
            tls_probes=handshakes,
            now=moment,
        )
        for row in rows
    }


def renew(claims: Sequence[Claim]) -> None:
    with transaction() as session:
        until = now(session) + settings.current().scan_lease_seconds
        for claimed in claims:
            session.execute(_leased(claimed).values(lease_until=until))


def release(claims: Sequence[Claim]) -> None:
    """Let others have them at once; an attempt that was not finished does not count."""
    with transaction() as session:
        moment = now(session)
        for claimed in claims:
            session.execute(
                _leased(claimed).values(
                    status="queued",
                    attempt=Scan.attempt - 1,
                    lease_until=None,
                    started_at=None,
                    enqueued_at=moment,
                )
            )
        after_commit(session, lambda: scans.enqueue([claimed.scan_id for claimed in claims]))


def _leased(claimed: Claim) -> Update:
    return update(Scan).where(
        Scan.id == claimed.scan_id, Scan.attempt == claimed.attempt, Scan.status == "running"
    )

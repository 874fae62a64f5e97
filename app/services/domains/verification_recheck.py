"""Weekly rechecks of the verification records of verified domains.

Only definite answers count: after FAILURES consecutive answers without the record, the domain is no
longer verified. While the domain itself does not exist, nothing counts: that has its own alert, and
whether the owner is still the same shows only when the domain exists again.
"""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import settings
from app.db import transactions
from app.db.transactions import after_commit, transaction
from app.jobs import queue
from app.models import Domain
from app.ports.dns import LookupFailed, Resolver
from app.ports.network import Network, SessionFactory
from app.rules.accounts import ownership as rules
from app.services.alerts import evaluation
from app.services.alerts.evaluation import Evaluation
from app.services.audit import audit_log
from app.services.core.leases import LeaseTable

RECHECK_PERIOD = timedelta(days=7)
RETRY_AFTER = timedelta(days=1)  # after a recheck that failed or did not find the record
LEASE_DURATION = timedelta(hours=1)  # a lost recheck is enqueued again after that
FAILURES = 3
BATCH_SIZE = 200

# Claimed when the job is enqueued. The recheck ends the lease by setting the next due time.
LEASES = LeaseTable(
    key=Domain.id,
    until=Domain.ownership_due_at,
    duration=lambda: LEASE_DURATION,
)

_LABEL = "_mp-challenge"
_PREFIX = "mp-verify="


def record_name(domain: str) -> str:
    """Return the name at which the record is published."""
    return f"{_LABEL}.{domain}"


def values(account_id: UUID, domain: str) -> list[str]:
    """Return the valid values of the record: of the current secret and the previous ones."""
    current = settings.current()
    return [
        value(secret, account_id, domain)
        for secret in (current.secret_key, *current.secret_key_previous)
    ]


def value(secret: str, account_id: UUID, domain: str) -> str:
    """Return the value of the record under this secret."""
    key = hashlib.sha256(f"verification:{secret}".encode()).digest()
    digest = hmac.digest(key, f"{account_id}|{domain}".encode(), "sha256")
    return _PREFIX + base64.b32encode(digest[:20]).decode().lower()


async def look_up(dns: Resolver, domain: str) -> tuple[str, ...]:
    """Return the published values at the name of the record.

    raises  LookupFailed
    """
    return await dns.txt(record_name(domain))


def enqueue_due() -> int:
    """Enqueue a recheck of the domains that are due, and return how many."""
    if settings.current().domain_verification == "off":
        return 0
    with transaction() as session:
        is_verified = Domain.verified_at.is_not(None)
        domain_ids = [lease.key for lease in LEASES.claim(session, is_verified, limit=BATCH_SIZE)]
        if domain_ids:
            after_commit(session, lambda: queue.enqueue_ownership(domain_ids))
        return len(domain_ids)


def recheck(domain_ids: Sequence[UUID], network: Network) -> None:
    """Look up the records of these domains; without a definite answer nothing changes."""
    with transaction(readonly=True) as session:
        rows = session.execute(
            select(Domain.id, Domain.name).where(
                Domain.id.in_(domain_ids), Domain.verified_at.is_not(None)
            )
        ).all()
    names = [row.name for row in rows]
    answers = network.run(lambda new_session: _look_up_all(names, new_session))
    for (domain_id, _), published in zip(rows, answers, strict=True):
        with transaction() as session:
            domain = session.scalar(select(Domain).where(Domain.id == domain_id).with_for_update())
            if domain is not None and domain.verified_at is not None:
                _update(session, domain, published)


def confirm(session: Session, domain: Domain) -> None:
    """Note that the record was found, in the caller's transaction; resolves the alert."""
    domain.ownership_failures, domain.ownership_lost_at = 0, None
    domain.ownership_due_at = transactions.now(session) + RECHECK_PERIOD
    _evaluate(session, domain)


async def _look_up_all(
    names: Sequence[str], new_session: SessionFactory
) -> list[tuple[str, ...] | None]:
    """Return the published values of each domain.

    returns  None for a domain if a lookup failed, or if the domain does not exist
    """

    async def look_up_or_none(name: str) -> tuple[str, ...] | None:
        dns = new_session()
        try:
            published = await look_up(dns, name)
            if published or (await dns.resolve(name, "NS")).exists:
                return published
        except LookupFailed:
            pass
        return None

    return list(await asyncio.gather(*map(look_up_or_none, names)))


def _update(session: Session, domain: Domain, published: tuple[str, ...] | None) -> None:
    now = transactions.now(session)
    if published is None:
        domain.ownership_due_at = now + RETRY_AFTER
    elif set(published) & set(values(domain.account_id, domain.name)):
        confirm(session, domain)
    else:
        domain.ownership_failures += 1
        domain.ownership_due_at = now + RETRY_AFTER
        if domain.ownership_failures >= FAILURES:
            _revoke(session, domain, now)


def _revoke(session: Session, domain: Domain, now: datetime) -> None:
    domain.verified_at, domain.ownership_lost_at = None, now
    domain.updated_at = now
    audit_log.record(
        session,
        domain.account_id,
        actor="system",
        action="domain.verification_lost",
        target=domain.name,
    )
    _evaluate(session, domain)


def _evaluate(session: Session, domain: Domain) -> None:
    posture = rules.Ownership(
        domain=domain.name,
        now=transactions.now(session),
        lost_at=domain.ownership_lost_at,
        name=record_name(domain.name),
        text=values(domain.account_id, domain.name)[0],
        failures=domain.ownership_failures,
    )
    live = evaluation.live_alerts(session, [domain.id]).get(domain.id, [])
    evaluation.evaluate(session, Evaluation(domain, posture, live), rules.RULES)

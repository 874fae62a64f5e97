"""The input of the checks: domains, with what is known about them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.checks.engine.types import Subject, Usage
from app.db import bulk
from app.models import Domain, DomainState
from app.services.filing import observed_selectors
from app.services.scans import dkim_keys, observed_policies, starttls_probes


def load(session: Session, domain_ids: Sequence[UUID], now: datetime) -> Mapping[UUID, Subject]:
    """Return the input of the checks by domain, in the caller's transaction."""
    rows = session.execute(
        select(
            Domain.id, Domain.name, Domain.usage, Domain.dkim_selectors, DomainState.last_results
        )
        .outerjoin(DomainState, DomainState.domain_id == Domain.id)
        .where(bulk.is_any(session, Domain.id, domain_ids))
    ).all()
    facts_by_domain = {
        row.id: {check: result["facts"] for check, result in (row.last_results or {}).items()}
        for row in rows
    }
    hosts = [
        host for facts in facts_by_domain.values() for host in facts.get("mx", {}).get("hosts", ())
    ]
    handshakes = starttls_probes.recent(session, hosts)
    selectors = observed_selectors.seen(session, [row.id for row in rows])
    shared = dkim_keys.shared(session, [row.id for row in rows])
    policies = observed_policies.policies(session, [row.id for row in rows], now)
    return {
        row.id: Subject(
            domain=row.name,
            usage=Usage(row.usage),
            dkim_selectors=tuple(row.dkim_selectors),
            observed_selectors=selectors.get(row.id, ()),
            last_facts=facts_by_domain[row.id],
            last_results=row.last_results or {},
            shared_keys=shared.get(row.id, {}),
            observed=policies.get(row.id, ()),
            tls_probes=handshakes,
            now=now,
        )
        for row in rows
    }

"""The DMARC policies that reporters found in DNS (RFC 9990, policy_published)."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.checks.engine.types import ObservedPolicy
from app.db import bulk
from app.models import DmarcReport, Domain

RECENT = timedelta(days=7)
MAX_REPORTERS = 50  # the most recent of a domain, because a sender may invent many


def policies(
    session: Session, domain_ids: Sequence[UUID], now: datetime
) -> Mapping[UUID, tuple[ObservedPolicy, ...]]:
    """Return the last policy that each reporter found, by domain; in the caller's transaction.

    returns  policies from reports of the last seven days about exactly the domain, with a trusted
             provenance
    """
    latest = func.row_number().over(
        partition_by=(DmarcReport.domain_id, DmarcReport.reporter),
        order_by=(DmarcReport.begin_at.desc(), DmarcReport.id.desc()),
    )
    published = (
        select(
            DmarcReport.domain_id,
            DmarcReport.reporter,
            DmarcReport.begin_at,
            DmarcReport.policy,
            latest.label("latest"),
        )
        .join(
            Domain,
            (Domain.id == DmarcReport.domain_id) & (Domain.name == DmarcReport.policy_domain),
        )
        .where(
            bulk.is_any(session, DmarcReport.domain_id, domain_ids),
            DmarcReport.begin_at >= now - RECENT,
            DmarcReport.provenance != "unverified",
        )
        .subquery()
    )
    position = func.row_number().over(
        partition_by=published.c.domain_id,
        order_by=(published.c.begin_at.desc(), published.c.reporter),
    )
    first = select(published, position.label("position")).where(published.c.latest == 1).subquery()
    policies: dict[UUID, list[ObservedPolicy]] = {}
    for row in session.execute(select(first).where(first.c.position <= MAX_REPORTERS)):
        policies.setdefault(row.domain_id, []).append(_policy(row))
    return {domain_id: tuple(sorted(group)) for domain_id, group in policies.items()}


def _policy(row: Any) -> ObservedPolicy:
    tags = (row.policy.get(tag) for tag in ("sp", "adkim", "aspf"))
    return ObservedPolicy(row.reporter, row.begin_at, row.policy.get("p") or "", *tags)

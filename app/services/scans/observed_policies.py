"""Which policies reporters say that they found in DNS (RFC 9990, policy_published)."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.checks.engine.types import ObservedPolicy
from app.models import DmarcReport, Domain

RECENT = timedelta(days=7)
MAX_REPORTERS = 50  # of one domain, the most recent: a sender may invent many


def policies(
    session: Session, domain_ids: Sequence[UUID], now: datetime
) -> Mapping[UUID, tuple[ObservedPolicy, ...]]:
    """The last policy that each reporter saw, by domain; runs in the caller's transaction.

    returns  of reports about exactly the domain, of the last seven days, with trusted provenance
    """
    latest = func.row_number().over(
        partition_by=(DmarcReport.domain_id, DmarcReport.reporter),
        order_by=(DmarcReport.begin_at.desc(), DmarcReport.id.desc()),
    )
    told = (
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
            DmarcReport.domain_id.in_(domain_ids),
            DmarcReport.begin_at >= now - RECENT,
            DmarcReport.provenance != "unverified",
        )
        .subquery()
    )
    place = func.row_number().over(
        partition_by=told.c.domain_id, order_by=(told.c.begin_at.desc(), told.c.reporter)
    )
    first = select(told, place.label("place")).where(told.c.latest == 1).subquery()
    found: dict[UUID, list[ObservedPolicy]] = {}
    for row in session.execute(select(first).where(first.c.place <= MAX_REPORTERS)):
        said = (row.policy.get(tag) for tag in ("sp", "adkim", "aspf"))
        one = ObservedPolicy(row.reporter, row.begin_at, row.policy.get("p") or "", *said)
        found.setdefault(row.domain_id, []).append(one)
    return {domain_id: tuple(sorted(each)) for domain_id, each in found.items()}

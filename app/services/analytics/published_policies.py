"""The DMARC record that applies to a domain, and since when its policy is unchanged."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.analysis.policy import published as published_policy
from app.analysis.policy import unchanged
from app.analysis.policy.published import Published
from app.analysis.policy.unchanged import LOOK_AHEAD, LOOK_BACK, ReportedPolicy
from app.models import DmarcReport, DnsChange, Domain
from app.protocols.report_formats.limits import LIMITS

MAX_REPORTS = 5_000  # the newest; reports before them are not evidence
_LONGEST = timedelta(seconds=LIMITS.span_seconds)
_SCAN = timedelta(hours=1)  # a change is stored after the scan that saw it began


def in_results(domain: Domain, last_results: Mapping[str, Any]) -> Published | None:
    """Return the record in the last scan's results, with the time that scans alone show."""
    return published_policy.from_facts(domain.name, last_results.get("dmarc", {}).get("facts"))


def with_time(
    session: Session, domain: Domain, last_results: Mapping[str, Any]
) -> Published | None:
    """Return the record with the time that scans and trusted reports show.

    Runs in the caller's transaction. Reports about a parent domain with the record count if the
    same account has verified the parent domain.
    """
    published = in_results(domain, last_results)
    if published is None or published.since is None or published.found_at is None:
        return published
    owner_id = session.scalar(
        select(Domain.id).where(
            Domain.account_id == domain.account_id, Domain.name == published.found_at
        )
    )
    if owner_id is None:
        return published
    reports = _reports(session, owner_id, published.found_at, published.since)
    return unchanged.with_reports(published, reports, _changed_at(session, domain, published.since))


def _changed_at(session: Session, domain: Domain, since: datetime) -> datetime | None:
    """When scans last saw a change of the records, up to the scan that saw the policy first."""
    return session.scalar(
        select(func.max(DnsChange.at)).where(
            DnsChange.domain_id == domain.id,
            DnsChange.check == "dmarc",
            DnsChange.at <= since + _SCAN,
        )
    )


def _reports(
    session: Session, owner_id: UUID, policy_domain: str, since: datetime
) -> list[ReportedPolicy]:
    rows = session.execute(
        select(DmarcReport.begin_at, DmarcReport.end_at, DmarcReport.policy)
        .where(
            DmarcReport.domain_id == owner_id,
            DmarcReport.policy_domain == policy_domain,
            DmarcReport.begin_at >= since - LOOK_BACK - _LONGEST,
            DmarcReport.begin_at < since + LOOK_AHEAD,
            DmarcReport.provenance != "unverified",
        )
        .order_by(DmarcReport.begin_at.desc())
        .limit(MAX_REPORTS)
    )
    reports = [ReportedPolicy(row.begin_at, row.end_at, row.policy) for row in rows]
    if len(reports) < MAX_REPORTS:
        return reports
    return [report for report in reports if report.begin_at > reports[-1].begin_at]

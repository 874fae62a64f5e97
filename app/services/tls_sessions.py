"""What TLS reports say of the sessions of those who send mail to a domain (RFC 8460)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import transaction
from app.insight.periods import Buckets, Interval, Window, at, hour_of
from app.models import Domain, TlsPolicy, TlsReport
from app.services import domains


@dataclass(slots=True)
class Sessions:
    """Sessions that succeeded and that failed."""

    successful: int = 0
    failed: int = 0

    def add(self, successful: int, failed: int) -> None:
        """Count these too."""
        self.successful += successful
        self.failed += failed

    @property
    def failure_rate(self) -> float | None:
        """From 0 to 1; None without sessions."""
        total = self.successful + self.failed
        return self.failed / total if total else None


@dataclass(slots=True)
class Found:
    """What the reports of a window say.

    totals         over all policies; with ``is_overlapping`` some sessions are in it twice: one
                   session may be under an STS and a TLSA policy, and each counts it (§4)
    result_types   failed sessions by what failed; these need not add up to ``totals.failed`` (§4)
    hosts          failed sessions by MX host; those without a host failed before there was one
    """

    totals: Sessions = field(default_factory=Sessions)
    is_overlapping: bool = False
    policy_types: dict[str, Sessions] = field(default_factory=dict)
    reporters: dict[str, Sessions] = field(default_factory=dict)
    result_types: Counter[str] = field(default_factory=Counter)
    hosts: dict[str, Counter[str]] = field(default_factory=dict)
    series: list[Sessions] = field(default_factory=list)
    reports: int = 0


@dataclass(frozen=True, slots=True)
class TlsSessions:
    """The answer; the series has one element for each of ``starts``."""

    domain: Domain
    starts: Sequence[datetime]
    now: Found
    before: Found


def tls(
    account_id: UUID, ref: str, window: Window, interval: Interval, zone: ZoneInfo
) -> TlsSessions:
    """What became of the sessions in the window, and in the one before.

    raises  NotFound
    """
    buckets = Buckets(window, interval, zone)
    with transaction(readonly=True) as session:
        domain = domains.owned(session, account_id, ref)
        return TlsSessions(
            domain,
            buckets.starts,
            read(session, domain.id, window, buckets),
            read(session, domain.id, window.before, None),
        )


def read(session: Session, domain_id: UUID, window: Window, buckets: Buckets | None) -> Found:
    """What the reports of the window say; a step."""
    rows = session.execute(
        select(
            TlsPolicy.report_id, TlsPolicy.at, TlsPolicy.policy_type, TlsPolicy.successful,
            TlsPolicy.failed, TlsPolicy.failures, TlsReport.reporter,
        )
        .join(TlsReport, TlsReport.id == TlsPolicy.report_id)
        .where(
            TlsPolicy.domain_id == domain_id,
            TlsPolicy.at >= at(window.start),
            TlsPolicy.at < at(window.stop),
        )
    )  # fmt: skip
    found = Found(series=[Sessions() for _ in buckets.starts] if buckets else [])
    types: dict[UUID, set[str]] = {}
    for row in rows:
        counts = (row.successful, row.failed)
        found.totals.add(*counts)
        found.policy_types.setdefault(row.policy_type, Sessions()).add(*counts)
        found.reporters.setdefault(row.reporter, Sessions()).add(*counts)
        types.setdefault(row.report_id, set()).add(row.policy_type)
        if buckets:
            found.series[buckets.index(hour_of(row.at))].add(*counts)
        _count_failures(found, row.failures)
    found.reports = len(types)
    found.is_overlapping = any(len(kinds) > 1 for kinds in types.values())
    return found


def _count_failures(found: Found, failures: Iterable[dict[str, Any]]) -> None:
    for failure in failures:
        kind, sessions = failure["result_type"], failure["sessions"]
        found.result_types[kind] += sessions
        found.hosts.setdefault(failure["mx"] or "", Counter())[kind] += sessions

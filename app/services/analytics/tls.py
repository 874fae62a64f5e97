"""What TLS reports say of the sessions of those who send mail to a domain (RFC 8460)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, func, select, true
from sqlalchemy.orm import Session

from app.analysis.mail.periods import Buckets, Interval, Window, hour_of
from app.db.transactions import transaction
from app.models import Domain, TlsPolicy, TlsReport
from app.services.analytics import tls_policies
from app.services.analytics.tls_policies import HAS_FAILURES, Conditions, Failures
from app.services.core import domain_lookup

MAX_HOSTS = 1_000  # with their failures, that are listed one by one
_SUMS = (tls_policies.total(TlsPolicy.successful), tls_policies.total(TlsPolicy.failed))


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
class TlsResult:
    """What the reports of a window say.

    totals         over all policies; with ``is_overlapping`` some sessions are in it twice: one
                   session may be under an STS and a TLSA policy, and each counts it (§4)
    result_types   failed sessions by what failed; these need not add up to ``totals.failed`` (§4)
    hosts          failed sessions by MX host; "": those that failed before there was one
    host_types     … and by what failed; of very many, those with the most sessions
    """

    totals: Sessions = field(default_factory=Sessions)
    is_overlapping: bool = False
    policy_types: dict[str, Sessions] = field(default_factory=dict)
    reporters: dict[str, Sessions] = field(default_factory=dict)
    result_types: Counter[str] = field(default_factory=Counter)
    hosts: Counter[str] = field(default_factory=Counter)
    host_types: dict[str, Counter[str]] = field(default_factory=dict)
    series: list[Sessions] = field(default_factory=list)
    reports: int = 0


@dataclass(frozen=True, slots=True)
class TlsSessions:
    """The answer; the series has one element for each of ``starts``."""

    domain: Domain
    starts: Sequence[datetime]
    now: TlsResult
    previous_period: TlsResult


def tls(
    account_id: UUID, ref: str, window: Window, interval: Interval, zone: ZoneInfo
) -> TlsSessions:
    """Results of the sessions in the window and in the previous one.

    raises  NotFound
    """
    buckets = Buckets(window, interval, zone)
    with transaction(readonly=True, snapshot=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        return TlsSessions(
            domain,
            buckets.starts,
            read(session, domain.id, window, buckets),
            read(session, domain.id, window.before, None),
        )


def read(session: Session, domain_id: UUID, window: Window, buckets: Buckets | None) -> TlsResult:
    """What the reports of the window say; a step."""
    return sums(session, tls_policies.counted(domain_id, window), buckets)


def sums(session: Session, within: Conditions, buckets: Buckets | None = None) -> TlsResult:
    """What these policies of reports add up to; runs in the caller's transaction."""
    found = TlsResult(series=[Sessions() for _ in buckets.starts] if buckets else [])
    keys = (TlsPolicy.policy_type, TlsReport.reporter)
    joined = select(*keys, *_SUMS).join(TlsReport, TlsReport.id == TlsPolicy.report_id)
    for policy_type, reporter, *sums in session.execute(joined.where(*within).group_by(*keys)):
        counts = tuple(map(int, sums))
        found.totals.add(*counts)
        found.policy_types.setdefault(policy_type, Sessions()).add(*counts)
        found.reporters.setdefault(reporter, Sessions()).add(*counts)
    if buckets:
        by_time = select(TlsPolicy.at, *_SUMS).where(*within).group_by(TlsPolicy.at)
        for moment, *sums in session.execute(by_time):
            found.series[buckets.index(hour_of(moment))].add(*map(int, sums))
    kinds = (
        select(func.count(TlsPolicy.policy_type.distinct()).label("kinds"))
        .where(*within)
        .group_by(TlsPolicy.report_id)
        .subquery()
    )
    found.reports, most = session.execute(select(func.count(), func.max(kinds.c.kinds))).one()
    found.is_overlapping = (most or 0) > 1
    _read_failures(session, within, found)
    return found


def _read_failures(session: Session, within: Conditions, found: TlsResult) -> None:
    """Failed sessions by host and by what failed; of many those with the most."""
    failures = Failures.of(session.get_bind().dialect.name)
    total = tls_policies.total(failures.sessions)

    def most(*keys: ColumnElement[Any]) -> Sequence[Any]:
        return session.execute(
            select(*keys, total)
            .select_from(TlsPolicy)
            .join(failures.each, true())
            .where(*within, HAS_FAILURES)
            .group_by(*keys)
            .order_by(total.desc(), *keys)
            .limit(MAX_HOSTS)
        ).all()

    by_host = most(failures.mx, failures.result_type)
    for name, what, count in by_host:
        found.host_types.setdefault(name, Counter())[what] = int(count)
        found.hosts[name] += int(count)
        found.result_types[what] += int(count)
    if len(by_host) == MAX_HOSTS:  # what is rarer is missing, from the sums too
        found.hosts = Counter({name: int(count) for name, count in most(failures.mx)})
        kinds = most(failures.result_type)
        found.result_types = Counter({what: int(count) for what, count in kinds})

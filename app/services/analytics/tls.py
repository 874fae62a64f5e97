"""The TLS sessions of senders with a domain's mail servers, as TLS reports show them (RFC 8460)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, bindparam, func, select, true
from sqlalchemy.orm import Session

from app.analysis.mail.periods import Buckets, SeriesQuery, Window, hour_of
from app.analysis.mail.record_filter import TlsRecordFilter
from app.db.transactions import transaction
from app.models import Domain, TlsPolicy, TlsReport
from app.services.analytics import tls_policies
from app.services.analytics.tls_policies import HAS_FAILURES, Failures
from app.services.core import domain_lookup
from app.services.rollups import partial_reports

MAX_GROUPS = 100  # groups in each list of a summary
MAX_HOSTS = 1_000  # pairs of a host and a failure type that are read one by one
_SUMS = (tls_policies.total(TlsPolicy.successful), tls_policies.total(TlsPolicy.failed))


@dataclass(slots=True)
class Sessions:
    """Numbers of successful and failed sessions."""

    successful: int = 0
    failed: int = 0

    def add(self, successful: int, failed: int) -> None:
        """Add sessions to these."""
        self.successful += successful
        self.failed += failed

    @property
    def total(self) -> int:
        """The number of all sessions."""
        return self.successful + self.failed

    @property
    def failure_rate(self) -> float | None:
        """The share of sessions that failed, from 0 to 1; None without sessions."""
        return self.failed / self.total if self.total else None

    @property
    def success_rate(self) -> float | None:
        """The share of sessions that succeeded, from 0 to 1; None without sessions."""
        return self.successful / self.total if self.total else None


@dataclass(slots=True)
class TlsResult:
    """The sums of the reports of a window.

    totals         over all policies; with ``is_overlapping`` some sessions count twice, because a
                   session under an STS and a TLSA policy counts for each (§4)
    result_types   failed sessions by failure type; the sum may differ from ``totals.failed`` (§4)
    hosts          failed sessions by MX host; ``""``: they failed before a host was reached
    host_types     failed sessions by host and failure type; of very many, the most frequent ones
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
class SessionGroup:
    """The sessions of one policy type or reporter, with the filter of their records."""

    name: str
    sessions: Sessions
    records: TlsRecordFilter


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """The failed sessions of one failure type or MX host, with the filter of their records.

    name          ``""``: the sessions failed before a host was reached
    result_types  of a host: the failed sessions by failure type
    """

    name: str
    sessions: int
    records: TlsRecordFilter
    result_types: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TlsSummary:
    """The TLS sessions of a domain in a window and in the previous one.

    starts           the start of each element of ``current.series``
    previous_period  only its totals, and whether they overlap
    partial_reports  reports with policies or failures that could not be read

    Each list of groups has the most sessions first, and at most MAX_GROUPS elements.
    """

    domain: Domain
    query: SeriesQuery
    starts: Sequence[datetime]
    current: TlsResult
    previous_period: TlsResult
    policy_types: Sequence[SessionGroup]
    reporters: Sequence[SessionGroup]
    result_types: Sequence[FailureGroup]
    mx_hosts: Sequence[FailureGroup]
    partial_reports: int


def summarize(account_id: UUID, query: SeriesQuery) -> TlsSummary:
    """Return the sessions in the window and in the previous one.

    raises  NotFound
    """
    with transaction(readonly=True, snapshot=True) as session:
        return read(session, domain_lookup.owned(session, account_id, query.domain), query)


def read(session: Session, domain: Domain, query: SeriesQuery) -> TlsSummary:
    """As ``summarize``, in the caller's transaction."""
    window = query.window
    buckets = Buckets(window, query.interval, query.zone)
    current = sums(session, domain.id, window, buckets)
    parameters = tls_policies.bounds(domain.id, window.before)
    previous = _totals(session, _statements(session.get_bind().dialect.name), parameters)
    return TlsSummary(
        domain=domain,
        query=query,
        starts=buckets.starts,
        current=current,
        previous_period=previous,
        policy_types=[
            SessionGroup(name, sessions, TlsRecordFilter(policy_type=name))
            for name, sessions in _largest(current.policy_types)
        ],
        reporters=[
            SessionGroup(name, sessions, TlsRecordFilter(reporter=name))
            for name, sessions in _largest(current.reporters)
        ],
        result_types=[
            FailureGroup(name, sessions, TlsRecordFilter(result_type=name))
            for name, sessions in current.result_types.most_common(MAX_GROUPS)
        ],
        mx_hosts=[
            FailureGroup(
                name=name,
                sessions=sessions,
                records=TlsRecordFilter(mx=name) if name else TlsRecordFilter(has_mx=False),
                result_types=current.host_types.get(name, {}),
            )
            for name, sessions in current.hosts.most_common(MAX_GROUPS)
        ],
        partial_reports=partial_reports.count(session, TlsReport, domain, window),
    )


def _largest(groups: Mapping[str, Sessions]) -> Iterable[tuple[str, Sessions]]:
    order = sorted(groups.items(), key=lambda group: (-group[1].total, group[0]))
    return order[:MAX_GROUPS]


def sums(
    session: Session,
    domain_id: UUID,
    window: Window,
    buckets: Buckets | None = None,
    *,
    is_trusted_only: bool = False,
) -> TlsResult:
    """Return the sums of the domain's policies in the window, in the caller's transaction."""
    statements = _statements(session.get_bind().dialect.name, is_trusted_only)
    parameters = tls_policies.bounds(domain_id, window)
    result = _totals(session, statements, parameters)
    result.series = [Sessions() for _ in buckets.starts] if buckets else []
    # One pass over the policies: there are few times for each reporter.
    for at, policy_type, reporter, *row in _rows(session, statements.groups, parameters):
        counts = tuple(map(int, row))
        result.policy_types.setdefault(policy_type, Sessions()).add(*counts)
        result.reporters.setdefault(reporter, Sessions()).add(*counts)
        if buckets:
            result.series[buckets.index(hour_of(at))].add(*counts)
    _read_failures(session, statements, parameters, result)
    return result


def _rows(session: Session, statement: Any, parameters: Mapping[str, Any]) -> Sequence[Any]:
    return session.connection().execute(statement, parameters).all()


def _totals(
    session: Session, statements: "_Statements", parameters: Mapping[str, Any]
) -> TlsResult:
    """The result with only the totals, the number of reports, and whether sessions overlap."""
    ((count, successful, failed, most),) = _rows(session, statements.totals, parameters)
    return TlsResult(
        totals=Sessions(int(successful or 0), int(failed or 0)),
        is_overlapping=(most or 0) > 1,
        reports=count,
    )


def _read_failures(
    session: Session,
    statements: "_Statements",
    parameters: Mapping[str, Any],
    result: TlsResult,
) -> None:
    """Read the failed sessions by host and failure type; of very many, the most frequent ones."""
    limited = {**parameters, "most": MAX_HOSTS}
    by_host = _rows(session, statements.host_types, limited)
    for name, result_type, count in by_host:
        result.host_types.setdefault(name, Counter())[result_type] = int(count)
        result.hosts[name] += int(count)
        result.result_types[result_type] += int(count)
    if len(by_host) == MAX_HOSTS:  # the rarer pairs are missing in the sums, too
        for counts, statement in (
            (result.hosts, statements.hosts),
            (result.result_types, statements.result_types),
        ):
            counts.clear()
            rows = _rows(session, statement, limited)
            counts.update({name: int(count) for name, count in rows})


@dataclass(frozen=True, slots=True)
class _Statements:
    """The statements for the sums of a window, with the parameters of ``tls_policies.bounds``.

    totals  (reports, successful, failed, most policy types of a report)
    groups  (at, policy_type, reporter, successful, failed)
    host_types, hosts, result_types  failed sessions by these, the most frequent ones
    """

    totals: Any
    groups: Any
    host_types: Any
    hosts: Any
    result_types: Any


@cache  # building the statements takes longer than running them for most domains
def _statements(dialect: str, is_trusted_only: bool = False) -> _Statements:
    within = tls_policies.within_bounds(is_trusted_only=is_trusted_only)
    reports = (
        select(*_SUMS, func.count(TlsPolicy.policy_type.distinct()))
        .where(*within)
        .group_by(TlsPolicy.report_id)
        .subquery()
    )
    successful, failed, kinds = reports.c
    keys = (TlsPolicy.at, TlsPolicy.policy_type, TlsReport.reporter)
    groups = select(*keys, *_SUMS).join(TlsReport, TlsReport.id == TlsPolicy.report_id)
    failures = Failures.of(dialect)
    total = tls_policies.total(failures.sessions)

    def most(*keys: ColumnElement[Any]) -> Any:
        return (
            select(*keys, total)
            .select_from(TlsPolicy)
            .join(failures.table, true())
            .where(*within, HAS_FAILURES)
            .group_by(*keys)
            .order_by(total.desc(), *keys)
            .limit(bindparam("most", type_=Integer))
        )

    return _Statements(
        totals=select(func.count(), func.sum(successful), func.sum(failed), func.max(kinds)),
        groups=groups.where(*within).group_by(*keys),
        host_types=most(failures.mx, failures.result_type),
        hosts=most(failures.mx),
        result_types=most(failures.result_type),
    )

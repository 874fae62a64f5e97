"""The analytics routes: DMARC results, TLS sessions, senders, reporters and policies."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Protocol
from zoneinfo import ZoneInfo

from flask import Blueprint, Response
from pydantic import Field
from pydantic.alias_generators import to_camel

from app import ids, wall_clock
from app.analysis.mail import periods
from app.analysis.mail.periods import HOUR, Interval, Window, last_days
from app.analysis.mail.record_filter import RecordFilter
from app.api.http import fields, responses
from app.api.http.auth import current
from app.api.http.endpoint import Body, Query, endpoint
from app.api.v1.analytics import policy_schemas, schemas, serialization
from app.api.v1.analytics.links import record_urls
from app.errors import InvalidRequest
from app.models import Domain
from app.models.keys import Scope
from app.protocols import timestamps
from app.protocols.dmarc import Policy
from app.services.analytics import dmarc as analytics_dmarc
from app.services.analytics import policy as analytics_policy
from app.services.analytics import sources as analytics_sources
from app.services.analytics import tls as analytics_tls

bp = Blueprint("analytics", __name__, url_prefix="/reports/analytics")

DEFAULT_DAYS = 30
MAX_DAYS = 731
MAX_BUCKETS = 1_000
READ = (Scope.REPORTS_READ,)


class WindowQuery(Query):
    """A domain and a period, by default the last 30 days in the time zone."""

    domain: fields.Text
    from_at: fields.Timestamp | None = Field(default=None, alias="from")
    to_at: fields.Timestamp | None = Field(default=None, alias="to")
    tz: Annotated[str, Field(max_length=64)] = "UTC"


class SeriesQuery(WindowQuery):
    """A domain and a period in intervals."""

    interval: Interval = "day"


class DmarcQuery(SeriesQuery):
    """A domain and a period in intervals and groups."""

    group_by: analytics_dmarc.GroupBy | None = None


class SourcesQuery(WindowQuery):
    """A domain, a period, and the maximum number of sources."""

    limit: Annotated[int, Field(ge=1, le=500)] = 100


class SimulatedPolicy(Body):
    """A policy to simulate. An omitted tag has its published value."""

    p: Policy | None = Field(default=None, description="The policy of the domain.")
    sp: Policy | None = Field(default=None, description="The policy of subdomains.")
    np: Policy | None = Field(
        default=None, description="The policy of subdomains that do not exist."
    )
    adkim: Literal["r", "s"] | None = Field(
        default=None, description="The alignment mode of DKIM: relaxed or strict."
    )
    aspf: Literal["r", "s"] | None = Field(
        default=None, description="The alignment mode of SPF: relaxed or strict."
    )


Words = Annotated[list[fields.Text], Field(max_length=50)]


class SimulationBody(Body):
    """A policy to simulate on the reported mail."""

    domain: fields.Text
    policy: SimulatedPolicy = Field(default_factory=SimulatedPolicy)
    remove_spf: Words = Field(
        default_factory=list,
        description="terms of the SPF record to remove, as written or by domain",
    )
    add_dkim: Words = Field(
        default_factory=list, description="keys of sources that are assumed to sign with DKIM"
    )
    from_at: fields.Timestamp | None = Field(default=None, alias="from")
    to_at: fields.Timestamp | None = Field(default=None, alias="to")


@bp.get("/dmarc")
@endpoint(scopes=READ, query=DmarcQuery, returns=schemas.DmarcMail)
def dmarc(query: DmarcQuery) -> Response:
    """Get messages by DMARC result and disposition."""
    zone, from_at, to_at = _times(query.tz, query.from_at, query.to_at)
    _expect_buckets(from_at, to_at, query.interval)
    request = analytics_dmarc.DmarcQuery(
        domain=query.domain,
        from_at=from_at,
        to_at=to_at,
        interval=query.interval,
        zone=zone,
        group_by=query.group_by,
    )
    summary = analytics_dmarc.summarize(current().account_id, request)
    urls = record_urls(summary.domain, request.window)
    return responses.item(
        {
            **_mail_header(summary, from_at, to_at),
            "interval": query.interval,
            "tz": zone.key,
            "groupBy": query.group_by,
            "totals": serialization.period(summary.totals, urls.url()),
            "previousPeriod": serialization.period(summary.previous_period, urls.previous()),
            "series": [
                {"start": start.isoformat(), **serialization.totals(totals)}
                for start, totals in zip(summary.starts, summary.series, strict=True)
            ],
            "groups": [serialization.group(group, urls) for group in summary.groups],
            "other": {"groups": summary.other_groups, **serialization.totals(summary.other)},
            "multiDayReports": summary.multi_day_reports,
            "recordsUrl": urls.url(),
        }
    )


@bp.get("/tls-rpt")
@endpoint(scopes=READ, query=SeriesQuery, returns=schemas.TlsSessions)
def tls(query: SeriesQuery) -> Response:
    """Get TLS sessions and failures."""
    zone, from_at, to_at = _times(query.tz, query.from_at, query.to_at)
    _expect_buckets(from_at, to_at, query.interval)
    request = periods.SeriesQuery(
        domain=query.domain, from_at=from_at, to_at=to_at, interval=query.interval, zone=zone
    )
    summary = analytics_tls.summarize(current().account_id, request)
    urls = record_urls(summary.domain, request.window, "tls-rpt")
    return responses.item(
        {
            **_header(summary.domain, from_at, to_at),
            "partialReports": summary.partial_reports,
            "interval": query.interval,
            "tz": zone.key,
            "reports": summary.current.reports,
            "totals": serialization.all_sessions(summary.current, urls.url()),
            "previousPeriod": serialization.all_sessions(summary.previous_period, urls.previous()),
            "policyTypes": [
                serialization.session_group(row, "policyType", urls) for row in summary.policy_types
            ],
            "resultTypes": [serialization.result_type(row, urls) for row in summary.result_types],
            "mxHosts": [serialization.mx_host(row, urls) for row in summary.mx_hosts],
            "reporters": [
                serialization.session_group(row, "reporter", urls) for row in summary.reporters
            ],
            "series": [
                {"start": start.isoformat(), **serialization.sessions(counts)}
                for start, counts in zip(summary.starts, summary.current.series, strict=True)
            ],
            "recordsUrl": urls.url(),
        }
    )


@bp.get("/sources")
@endpoint(scopes=READ, query=SourcesQuery, returns=schemas.SourceAnalysis)
def sources(query: SourcesQuery) -> Response:
    """List the sources that send as a domain."""
    _, from_at, to_at = _times(query.tz, query.from_at, query.to_at)
    window = Window.between(from_at, to_at)
    analytics = analytics_sources.search(
        current().account_id, query.domain, window, limit=query.limit
    )
    urls, other = record_urls(analytics.domain, window), analytics.listed.other
    return responses.item(
        {
            **_mail_header(analytics, from_at, to_at),
            "messages": analytics.messages,
            "days": analytics.days,
            "reporters": analytics.reporters,
            "sources": [serialization.source(row, urls) for row in analytics.listed.sources],
            "other": {
                "sources": other.sources,
                "messages": other.messages,
                "passed": other.passed,
            },
            **serialization.published_use(analytics.published_use, urls),
            "recordsUrl": urls.url(),
        }
    )


@bp.get("/readiness")
@endpoint(scopes=READ, query=WindowQuery, returns=policy_schemas.Readiness)
def readiness(query: WindowQuery) -> Response:
    """Get the readiness for a stricter DMARC policy."""
    _, from_at, to_at = _times(query.tz, query.from_at, query.to_at)
    window = Window.between(from_at, to_at)
    result = analytics_policy.assess_readiness(current().account_id, query.domain, window)
    published, urls = result.published, record_urls(result.domain, window)
    return responses.item(
        {
            **_mail_header(result, from_at, to_at),
            "ready": result.is_ready,
            "verdict": result.verdict,
            "reason": result.reason,
            "fullyEnforced": result.is_fully_enforced,
            "record": published.text if published else None,
            "policySince": responses.time(published.since if published else None),
            "policySinceSource": published.since_source if published else None,
            "evidence": {
                **_camel(asdict(result.evidence)),
                "sufficient": result.evidence.is_sufficient,
            },
            "thresholds": serialization.THRESHOLDS,
            "unmetRequirements": list(result.unmet_requirements),
            "steps": [serialization.step(detail, urls) for detail in result.step_details],
        }
    )


@bp.post("/simulate")
@endpoint(scopes=READ, body=SimulationBody, returns=policy_schemas.Simulation)
def simulate(body: SimulationBody) -> Response:
    """Simulate another DMARC policy."""
    _, from_at, to_at = _times("UTC", body.from_at, body.to_at)
    trial = analytics_policy.PolicyTrial(
        **body.policy.model_dump(),
        remove_spf=tuple(body.remove_spf),
        add_dkim=tuple(body.add_dkim),
    )
    window = Window.between(from_at, to_at)
    simulated = analytics_policy.simulate(current().account_id, body.domain, window, trial)
    urls = record_urls(simulated.domain, window)
    header = _mail_header(simulated, from_at, to_at)
    return responses.item({**header, **serialization.simulation(simulated, urls)})


@bp.get("/reporters")
@endpoint(scopes=READ, query=WindowQuery, returns=schemas.Coverage)
def reporters(query: WindowQuery) -> Response:
    """List the reporters of a domain."""
    _, from_at, to_at = _times(query.tz, query.from_at, query.to_at)
    window = Window.between(from_at, to_at)
    coverage = analytics_sources.coverage(current().account_id, query.domain, window)
    urls = record_urls(coverage.domain, window)
    return responses.item(
        {
            **_mail_header(coverage, from_at, to_at),
            "reporters": [
                {
                    "reporter": reporter.name,
                    "messages": reporter.messages,
                    "days": reporter.days,
                    "firstAt": responses.time(reporter.first_at),
                    "lastAt": responses.time(reporter.last_at),
                    "typicalIntervalHours": reporter.typical_interval,
                    "stopped": reporter.has_stopped,
                    "recordsUrl": urls.url(RecordFilter(reporter=reporter.name)),
                }
                for reporter in coverage.reporters
            ],
            "gaps": [
                {"from": responses.time(start), "to": responses.time(end)}
                for start, end in coverage.gap_times
            ],
        }
    )


def _header(domain: Domain, from_at: datetime, to_at: datetime) -> dict[str, Any]:
    return {
        "domainId": ids.public("dom", domain.id),
        "domainName": domain.name,
        "from": responses.time(from_at),
        "to": responses.time(to_at),
    }


class _MailFigures(Protocol):
    """The figures of a domain's email, with the numbers of reports that are not in them."""

    @property
    def domain(self) -> Domain: ...

    @property
    def pending_reports(self) -> int: ...

    @property
    def partial_reports(self) -> int: ...


def _mail_header(figures: _MailFigures, from_at: datetime, to_at: datetime) -> dict[str, Any]:
    return {
        **_header(figures.domain, from_at, to_at),
        "pendingReports": figures.pending_reports,
        "partialReports": figures.partial_reports,
    }


def _camel(values: dict[str, Any]) -> dict[str, Any]:
    return {to_camel(name): value for name, value in values.items()}


def _times(
    tz: str, from_at: datetime | None, to_at: datetime | None
) -> tuple[ZoneInfo, datetime, datetime]:
    """Return the time zone and the period, by default the last 30 days of the zone.

    raises  InvalidRequest
    """
    zone = timestamps.find_zone(tz)
    if zone is None:
        raise InvalidRequest.field("tz", timestamps.UNKNOWN_ZONE)
    to_at = to_at or wall_clock.now()
    if not datetime(2000, 1, 1, tzinfo=UTC) <= to_at < datetime(2200, 1, 1, tzinfo=UTC):
        raise InvalidRequest.field("to", "the time must be in the years 2000 to 2199")
    if from_at is None:
        from_at = last_days(to_at, DEFAULT_DAYS, zone)
    if from_at >= to_at:
        raise InvalidRequest.field("from", "must be before to")
    if to_at - from_at > timedelta(days=MAX_DAYS):
        raise InvalidRequest.field("from", f"must be at most {MAX_DAYS} days before to")
    return zone, from_at, to_at


def _expect_buckets(from_at: datetime, to_at: datetime, interval: Interval) -> None:
    if interval == "hour" and (to_at - from_at).total_seconds() > MAX_BUCKETS * HOUR:
        raise InvalidRequest.field(
            "interval", f"a period has at most {MAX_BUCKETS} intervals. Use interval=day"
        )

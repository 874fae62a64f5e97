"""What reports add up to: mail, who sends it, TLS sessions, and what another policy would do."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from flask import Blueprint, Response
from pydantic import Field
from pydantic.alias_generators import to_camel

from app import ids
from app.analysis.mail.periods import HOUR, Interval, Window, at, midnight
from app.api.http import fields, responses
from app.api.http.auth import current
from app.api.http.endpoint import Body, Query, endpoint
from app.api.v1.analytics import answers as analytics_answers
from app.api.v1.analytics import policy_schemas
from app.api.v1.analytics import schemas as shapes
from app.api.v1.analytics.links import Links
from app.errors import InvalidRequest
from app.models import Domain
from app.models.keys import Scope
from app.protocols.dmarc import Policy
from app.services.analytics import dmarc as analytics_dmarc
from app.services.analytics import policy as analytics_policy
from app.services.analytics import rollup_queue
from app.services.analytics import sources as analytics_sources
from app.services.analytics import tls as analytics_tls

bp = Blueprint("analytics", __name__, url_prefix="/reports/analytics")

MAX_DAYS = 731
MAX_BUCKETS = 1_000
MAX_GROUPS = 100
READ = (Scope.REPORTS_READ,)


class WindowQuery(Query):
    """A domain, and a time: by default the last 30 days there."""

    domain: fields.Text
    from_at: fields.Timestamp | None = Field(default=None, alias="from")
    to_at: fields.Timestamp | None = Field(default=None, alias="to")
    tz: Annotated[str, Field(max_length=64)] = "UTC"


class SeriesQuery(WindowQuery):
    """… in intervals."""

    interval: Interval = "day"


class DmarcQuery(SeriesQuery):
    """… and groups."""

    group_by: analytics_dmarc.GroupBy | None = None


class SourcesQuery(WindowQuery):
    """… and how many sources at most."""

    limit: Annotated[int, Field(ge=1, le=500)] = 100


class SimulatedPolicy(Body):
    """What is not given is as it is published."""

    p: Policy | None = None
    sp: Policy | None = None
    np: Policy | None = None
    adkim: Literal["r", "s"] | None = None
    aspf: Literal["r", "s"] | None = None


Words = Annotated[list[fields.Text], Field(max_length=50)]


class SimulationBody(Body):
    """A policy that is to be tried on the stored mail."""

    domain: fields.Text
    policy: SimulatedPolicy = SimulatedPolicy()
    remove_spf: Words = Field(default=[], description="terms of the SPF record, or their domains")
    add_dkim: Words = Field(default=[], description="keys of sources that are to sign")
    from_at: fields.Timestamp | None = Field(default=None, alias="from")
    to_at: fields.Timestamp | None = Field(default=None, alias="to")


@bp.get("/dmarc")
@endpoint(scopes=READ, query=DmarcQuery, returns=shapes.DmarcMail)
def dmarc(query: DmarcQuery) -> Response:
    """Messages by result and disposition: totals, series, groups and the previous period."""
    zone, from_at, to_at = _times(query.tz, query.from_at, query.to_at)
    _expect_buckets(from_at, to_at, query.interval)
    question = analytics_dmarc.DmarcQuery(
        query.domain, from_at, to_at, query.interval, zone, query.group_by
    )
    found = analytics_dmarc.dmarc(current().account_id, question)
    links = Links(found.domain, question.window)
    return responses.item(
        {
            **_mail_head(found.domain, from_at, to_at),
            "interval": query.interval,
            "tz": zone.key,
            "groupBy": query.group_by,
            "totals": _period(found.totals, links.records()),
            "previousPeriod": _period(found.previous_period, links.before()),
            "series": [
                {"start": start.isoformat(), **_totals(totals)}
                for start, totals in zip(found.starts, found.series, strict=True)
            ],
            "groups": [_group(group, query.group_by or "", links) for group in found.groups],
            "other": {"groups": found.other_groups, **_totals(found.other)},
            "multiDayReports": found.multi_day_reports,
            "recordsUrl": links.records(),
        }
    )


@bp.get("/tls-rpt")
@endpoint(scopes=READ, query=SeriesQuery, returns=shapes.TlsSessions)
def tls(query: SeriesQuery) -> Response:
    """Sessions that senders report (RFC 8460), and why some failed."""
    zone, from_at, to_at = _times(query.tz, query.from_at, query.to_at)
    _expect_buckets(from_at, to_at, query.interval)
    window = Window.between(from_at, to_at)
    found = analytics_tls.tls(current().account_id, query.domain, window, query.interval, zone)
    now, links = found.now, Links(found.domain, window, "tls-rpt")
    return responses.item(
        {
            **_head(found.domain, from_at, to_at),
            "interval": query.interval,
            "tz": zone.key,
            "reports": now.reports,
            "totals": _all_sessions(now, links.records()),
            "previousPeriod": _all_sessions(found.previous_period, links.before()),
            **_parts(now, links),
            "series": [
                {"start": start.isoformat(), **_sessions(counts)}
                for start, counts in zip(found.starts, now.series, strict=True)
            ],
            "recordsUrl": links.records(),
        }
    )


@bp.get("/sources")
@endpoint(scopes=READ, query=SourcesQuery, returns=shapes.Sources)
def sources(query: SourcesQuery) -> Response:
    """Who sends as the domain: services with their addresses, results and what they are to it."""
    _, from_at, to_at = _times(query.tz, query.from_at, query.to_at)
    window = Window.between(from_at, to_at)
    found = analytics_sources.search(current().account_id, query.domain, window)
    links = Links(found.domain, window)
    shown, rest = found.sources[: query.limit], found.sources[query.limit :]
    return responses.item(
        {
            **_mail_head(found.domain, from_at, to_at),
            "messages": found.messages,
            "days": found.days,
            "reporters": found.reporters,
            "sources": [analytics_answers.source(source, found, links) for source in shown],
            "other": {
                "sources": len(rest),
                "messages": sum(source.messages for source in rest),
                "passed": sum(source.passed for source in rest),
            },
            **analytics_answers.uses(found, links),
            "recordsUrl": links.records(),
        }
    )


@bp.get("/readiness")
@endpoint(scopes=READ, query=WindowQuery, returns=policy_schemas.Readiness)
def readiness(query: WindowQuery) -> Response:
    """Whether the DMARC policy may go one step up, what stands in the way, and what to publish."""
    _, from_at, to_at = _times(query.tz, query.from_at, query.to_at)
    window = Window.between(from_at, to_at)
    found = analytics_policy.assess_readiness(current().account_id, query.domain, window)
    links = Links(found.sending.domain, window)
    steps = [
        analytics_answers.step(step, found.published, found.sending, links) for step in found.steps
    ]
    return responses.item(
        {
            **_mail_head(found.sending.domain, from_at, to_at),
            "ready": found.steps[0].is_ready is True if found.steps else False,
            "fullyEnforced": not found.steps and found.published is not None,
            "record": found.published.text if found.published else None,
            "evidence": {
                **_camel(asdict(found.evidence)),
                "sufficient": found.evidence.is_sufficient,
            },
            "unmetRequirements": list(found.unmet_requirements),
            "steps": steps,
        }
    )


@bp.post("/simulate")
@endpoint(scopes=READ, body=SimulationBody, returns=policy_schemas.Simulation)
def simulate(body: SimulationBody) -> Response:
    """What another policy would have done to the mail of the last 30 days."""
    _, from_at, to_at = _times("UTC", body.from_at, body.to_at)
    trial = analytics_policy.PolicyTrial(
        **body.policy.model_dump(),
        remove_spf=tuple(body.remove_spf),
        add_dkim=tuple(body.add_dkim),
    )
    window = Window.between(from_at, to_at)
    found = analytics_policy.simulate(current().account_id, body.domain, window, trial)
    links = Links(found.sending.domain, window)
    head = _mail_head(found.sending.domain, from_at, to_at)
    return responses.item({**head, **analytics_answers.simulation(found, links)})


@bp.get("/reporters")
@endpoint(scopes=READ, query=WindowQuery, returns=shapes.Coverage)
def reporters(query: WindowQuery) -> Response:
    """Who reports about the domain, who has stopped, and the days without any report."""
    _, from_at, to_at = _times(query.tz, query.from_at, query.to_at)
    window = Window.between(from_at, to_at)
    found = analytics_sources.coverage(current().account_id, query.domain, window)
    links = Links(found.domain, window)
    return responses.item(
        {
            **_mail_head(found.domain, from_at, to_at),
            "reporters": [
                {
                    "reporter": one.name,
                    "messages": one.messages,
                    "days": one.days,
                    "firstAt": responses.time(at(one.first)),
                    "lastAt": responses.time(at(one.last)),
                    "typicalIntervalHours": one.typical_interval,
                    "stopped": one.has_stopped,
                    "recordsUrl": links.records(reporter=one.name),
                }
                for one in found.reporters
            ],
            "gaps": [
                {"from": responses.time(at(start * 24)), "to": responses.time(at(end * 24))}
                for start, end in found.gaps
            ],
        }
    )


def _head(domain: Domain, from_at: datetime, to_at: datetime) -> dict[str, Any]:
    return {
        "domainId": ids.public("dom", domain.id),
        "domainName": domain.name,
        "from": responses.time(from_at),
        "to": responses.time(to_at),
    }


def _mail_head(domain: Domain, from_at: datetime, to_at: datetime) -> dict[str, Any]:
    return {**_head(domain, from_at, to_at), "pendingReports": rollup_queue.pending(domain.id)}


def _totals(totals: analytics_dmarc.Totals) -> dict[str, Any]:
    return {
        "messages": totals.messages,
        "passed": totals.passed,
        "dkimAligned": totals.dkim_aligned,
        "spfAligned": totals.spf_aligned,
        "passRate": totals.pass_rate,
    }


def _period(period: analytics_dmarc.Period, records: str) -> dict[str, Any]:
    return {
        **_totals(period),
        "dispositions": period.dispositions,
        "unverified": period.unverified,
        "reporters": period.reporters,
        "recordsUrl": records,
    }


def _group(group: analytics_dmarc.Group, by: str, links: Links) -> dict[str, Any]:
    return {
        "key": group.key,
        **_totals(group),
        "previousMessages": group.previous_messages,
        "series": group.series,
        "recordsUrl": links.group(by, group.key),
    }


def _sessions(counts: analytics_tls.Sessions) -> dict[str, Any]:
    return {
        "successful": counts.successful,
        "failed": counts.failed,
        "failureRate": counts.failure_rate,
    }


def _all_sessions(found: analytics_tls.TlsResult, records: str) -> dict[str, Any]:
    return {
        **_sessions(found.totals),
        "overlapping": found.is_overlapping,
        "recordsUrl": records,
    }


def _parts(found: analytics_tls.TlsResult, links: Links) -> dict[str, Any]:
    """By policy, failure, MX host and reporter; each list the most first, at most MAX_GROUPS."""
    return {
        "policyTypes": [
            {"policyType": name, **_sessions(counts), "recordsUrl": links.records(policyType=name)}
            for name, counts in _most(found.policy_types)
        ],
        "resultTypes": [
            {"resultType": name, "sessions": count, "recordsUrl": links.records(resultType=name)}
            for name, count in found.result_types.most_common(MAX_GROUPS)
        ],
        "mxHosts": [
            {
                "host": name or None,
                "sessions": count,
                "resultTypes": found.host_types.get(name, {}),
                "recordsUrl": links.records(**({"mx": name} if name else {"hasMx": "false"})),
            }
            for name, count in found.hosts.most_common(MAX_GROUPS)
        ],
        "reporters": [
            {"reporter": name, **_sessions(counts), "recordsUrl": links.records(reporter=name)}
            for name, counts in _most(found.reporters)
        ],
    }


def _most(found: Mapping[str, analytics_tls.Sessions]) -> list[tuple[str, analytics_tls.Sessions]]:
    """Those with the most sessions."""
    order = sorted(found.items(), key=lambda one: (-one[1].successful - one[1].failed, one[0]))
    return order[:MAX_GROUPS]


def _camel(values: dict[str, Any]) -> dict[str, Any]:
    return {to_camel(name): value for name, value in values.items()}


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _times(
    tz: str, from_at: datetime | None, to_at: datetime | None
) -> tuple[ZoneInfo, datetime, datetime]:
    """The zone, and the window: by default from the midnight there 29 days ago until now.

    raises  InvalidRequest
    """
    if tz not in _zones():
        raise InvalidRequest.field("tz", "no time zone of the IANA database, like Europe/Berlin")
    zone = ZoneInfo(tz)
    to_at = to_at or datetime.now(UTC)
    if not datetime(2000, 1, 1, tzinfo=UTC) <= to_at < datetime(2200, 1, 1, tzinfo=UTC):
        raise InvalidRequest.field("to", "a time of this century is needed")
    if from_at is None:
        from_at = midnight(to_at.astimezone(zone).date() - timedelta(days=29), zone)
    if from_at >= to_at:
        raise InvalidRequest.field("from", "it must be before to")
    if to_at - from_at > timedelta(days=MAX_DAYS):
        raise InvalidRequest.field("from", f"at most {MAX_DAYS} days before to")
    return zone, from_at, to_at


def _expect_buckets(from_at: datetime, to_at: datetime, interval: Interval) -> None:
    if interval == "hour" and (to_at - from_at).total_seconds() > MAX_BUCKETS * HOUR:
        raise InvalidRequest.field("interval", f"at most {MAX_BUCKETS} hours; take days")

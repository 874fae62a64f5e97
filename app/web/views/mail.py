"""Pages about a domain's email: its senders, its DMARC results, and the effect of a policy."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.analysis.mail.periods import Window, at, hour_of
from app.errors import InvalidRequest
from app.models.senders import DECISIONS
from app.protocols.dmarc import Policy
from app.services.analytics import dmarc, rollup_queue, sources, tls
from app.services.analytics import policy as analytics_policy
from app.services.analytics.dmarc import DmarcQuery
from app.services.analytics.policy import PolicyTrial
from app.services.analytics.tls import TlsSessions
from app.web.base import charts, pages, record_lists
from app.web.base.filters import label
from app.web.base.forms import BaseForm, ChoiceField, TextField
from app.web.views import mail_rows, tls_records
from app.web.views.records import Links

bp = Blueprint("mail", __name__, url_prefix="/domains/<domain>")

SPANS = {
    "7": "Last 7 days",
    "30": "Last 30 days",
    "90": "Last 90 days",
    "365": "Last 365 days",
}
INTERVALS: dict[str, Any] = {"7": "day", "30": "day", "90": "day", "365": "week"}
MAX_GAPS = 5
MAX_FAILURES = 10  # failure types, and hosts with failures
LAST_HOUR = 2**31  # after all others
MODES = {"": "As published", "r": "Relaxed", "s": "Strict"}
POLICIES = [("", "As published"), *((policy.value, policy.value) for policy in Policy)]


class ClassificationForm(BaseForm):
    """Classify a source; without a state its classification is reset."""

    state = ChoiceField(
        "Classification", {**{name: label(name) for name in DECISIONS}, "": "Reset"}
    )
    note = TextField("Note", 500)
    source = TextField("Source", 300)


@bp.get("/mail")
def show(domain: str) -> ResponseReturnValue:
    """Show messages and TLS sessions over time, with the senders and reporters."""
    account, days = pages.user_session().account_id, _days()
    from_at, to_at = _window(days)
    mail = dmarc.dmarc(account, DmarcQuery(domain, from_at, to_at, INTERVALS[days]))
    window = Window.between(from_at, to_at)
    rows = [
        (f"{start:%d %b}", {"pass": totals.passed, "fail": totals.messages - totals.passed})
        for start, totals in zip(mail.starts, mail.series, strict=True)
    ]
    links = Links(mail.domain.name, window)
    sending = sources.search(account, domain, window)
    coverage = sources.coverage(account, domain, window)
    return pages.render(
        "mail.html",
        domain=mail.domain,
        urls=_urls(links),
        dispositions=[
            (disposition, messages, links.to(disposition=disposition))
            for disposition, messages in mail.totals.dispositions.items()
        ],
        series_links=_series_links(
            links, mail.starts, {"": {}, "pass": {"result": "pass"}, "fail": {"result": "fail"}}
        ),
        days=days,
        spans=SPANS,
        mail=mail,
        uncounted=rollup_queue.pending(mail.domain.id),
        chart=charts.stacked(("pass", "fail"), rows),
        sources=mail_rows.source_rows(sending, links),
        more_sources=max(0, len(sending.sources) - mail_rows.MAX_SOURCES),
        reporters=mail_rows.reporter_rows(coverage.reporters, links),
        gaps=[(at(start * 24), at(end * 24)) for start, end in coverage.gaps[:MAX_GAPS]],
        **_tls(tls.tls(account, domain, window, INTERVALS[days], dmarc.UTC), window),
        decisions=DECISIONS,
    )


def _urls(links: Links) -> dict[str, str]:
    """The URLs of the records behind the totals."""
    return {
        "all": links.to(),
        "before": links.before(),
        "passed": links.to(result="pass"),
        "failed": links.to(result="fail"),
        "dkim": links.to(dkim="pass"),
        "spf": links.to(spf="pass"),
        "unverified": links.to(provenance="unverified"),
    }


def _tls(sessions: TlsSessions, window: Window) -> dict[str, Any]:
    """The values that the page shows about TLS sessions."""
    links = tls_records.links(sessions.domain.name, window)
    same: Mapping[str, str] = {}  # one record counts successful and failed sessions
    rows = [
        (f"{start:%d %b}", {"successful": counts.successful, "failed": counts.failed})
        for start, counts in zip(sessions.starts, sessions.now.series, strict=True)
    ]
    filters = {"": same, "successful": same, "failed": same}
    return {
        "tls": sessions.now,
        "tls_before": sessions.previous_period.totals,
        "tls_chart": charts.stacked(("successful", "failed"), rows),
        "tls_urls": {"all": links.to(), "before": links.before()},
        "tls_series_links": _series_links(links, sessions.starts, filters),
        "tls_failures": [
            (name, count, links.to(resultType=name))
            for name, count in sessions.now.result_types.most_common(MAX_FAILURES)
        ],
        "tls_hosts": [
            (name, count, links.to(mx=name) if name else links.to(hasMx="false"))
            for name, count in sessions.now.hosts.most_common(MAX_FAILURES)
        ],
    }


def _series_links(
    links: record_lists.Links,
    starts: Sequence[datetime],
    filters: Mapping[str, Mapping[str, str]],
) -> list[dict[str, str]]:
    """The URLs of the records of each interval, by series with the filters of that series."""
    hours = [hour_of(start) for start in starts]
    return [
        {series: links.within(start, stop, **values) for series, values in filters.items()}
        for start, stop in zip(hours, [*hours[1:], LAST_HOUR], strict=True)
    ]


@bp.post("/sources")
def decide(domain: str) -> ResponseReturnValue:
    """Classify a source."""
    visitor, form = pages.user_session(), ClassificationForm.submitted()
    form.check()
    sources.decide(
        visitor.account_id,
        domain,
        form.source.text,
        form.state.text or None,
        note=form.note.text or None,
        actor=visitor.actor,
    )
    return redirect(url_for(".show", domain=domain, days=_days()), 303)


@bp.get("/policy")
def policy(domain: str) -> ResponseReturnValue:
    """Show whether the DMARC policy can be tightened, and simulate another policy."""
    account, days = pages.user_session().account_id, _days()
    window = Window.between(*_window(days))
    errors: dict[str, str] = {}
    trial, result = _trial(), None
    if trial is not None:
        try:
            result = analytics_policy.simulate(account, domain, window, trial)
        except InvalidRequest as error:
            errors = pages.field_errors(error)
    readiness = analytics_policy.assess_readiness(account, domain, window)
    row = readiness.sending.domain
    links = Links(row.name, window)
    affected = links.listed(result.listed) if result and result.replay.affected else None
    return pages.render(
        "policy.html",
        domain=row,
        days=days,
        spans=SPANS,
        readiness=readiness,
        steps=mail_rows.step_rows(readiness, links),
        uncounted=rollup_queue.pending(row.id),
        result=result,
        all_url=links.to(),
        affected_url=affected,
        affected_senders=mail_rows.affected_senders(result, links) if result else [],
        modes=MODES,
        policies=POLICIES,
        form=request.args,
        errors=errors,
    )


def _trial() -> PolicyTrial | None:
    """The policy that the form simulates; None before the form was sent."""
    if "p" not in request.args:
        return None
    values = {name: request.args.get(name, "") for name in ("p", "sp", "adkim", "aspf")}
    if not all(values[name] in ("", *Policy) for name in ("p", "sp")):
        abort(400, "Choose a policy: none, quarantine or reject.")
    if not all(values[name] in MODES for name in ("adkim", "aspf")):
        abort(400, "Choose an alignment: relaxed or strict.")
    removed = request.args.get("remove_spf", "")[:2000].split()
    return PolicyTrial(
        p=Policy(values["p"]) if values["p"] else None,
        sp=Policy(values["sp"]) if values["sp"] else None,
        adkim=values["adkim"] or None,
        aspf=values["aspf"] or None,
        remove_spf=tuple(removed[:50]),
    )


def _days() -> str:
    days = request.values.get("days", "30")
    return days if days in SPANS else "30"


def _window(days: str) -> tuple[datetime, datetime]:
    """The last ``days`` days in UTC, today included: from midnight of the first day until now."""
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=int(days) - 1), now

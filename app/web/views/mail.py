"""Pages about a domain's mail as reports tell it: who sends, what failed, and what if."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.analysis.mail import record_query, subdomains, unused
from app.analysis.mail.periods import Window, at, hour_of
from app.errors import InvalidRequest
from app.models.senders import DECISIONS
from app.protocols.dmarc import Policy, Record
from app.services.analytics import dmarc, rollup_queue, sources, tls
from app.services.analytics import policy as analytics_policy
from app.services.analytics.dmarc import DmarcQuery
from app.services.analytics.policy import PolicyTrial
from app.services.analytics.tls import TlsSessions
from app.web.base import charts, pages, record_lists
from app.web.base.forms import Form
from app.web.views import tls_records
from app.web.views.records import Links

bp = Blueprint("mail", __name__, url_prefix="/domains/<domain>")

SPANS = {"7": "7 days", "30": "30 days", "90": "90 days", "365": "a year"}
INTERVALS: dict[str, Any] = {"7": "day", "30": "day", "90": "day", "365": "week"}
MAX_ITEMS = {
    "sources": 50,
    "addresses": 5,
    "parts": 5,
    "listed": record_query.MAX_ADDRESSES,
}  # that are shown
NEVER = 2**31  # an hour after all others
MODES = {"": "as published", "r": "relaxed", "s": "strict"}


@bp.get("/mail")
def show(domain: str) -> ResponseReturnValue:
    """Messages and TLS sessions over time, and who they came from."""
    account, days = pages.user_session().account_id, _days()
    from_at, to_at = _window(days)
    found = dmarc.dmarc(account, DmarcQuery(domain, from_at, to_at, INTERVALS[days]))
    window = Window.between(from_at, to_at)
    rows = [
        (f"{start:%d %b}", {"pass": totals.passed, "fail": totals.messages - totals.passed})
        for start, totals in zip(found.starts, found.series, strict=True)
    ]
    links = Links(found.domain.name, window)
    sending = sources.search(account, domain, window)
    return pages.render(
        "mail.html",
        domain=found.domain,
        links=links,
        series_links=_series_links(
            links, found.starts, {"": {}, "pass": {"result": "pass"}, "fail": {"result": "fail"}}
        ),
        days=days,
        spans=SPANS,
        mail=found,
        uncounted=rollup_queue.pending(found.domain.id),
        chart=charts.stacked(("pass", "fail"), rows),
        sending=sending,
        failed=record_query.FAILED,
        coverage=sources.coverage(account, domain, window),
        **_tls(tls.tls(account, domain, window, INTERVALS[days], dmarc.UTC), window),
        decisions=DECISIONS,
        most=MAX_ITEMS,
        hour=at,
    )


def _tls(found: TlsSessions, window: Window) -> dict[str, Any]:
    """What the page tells of TLS sessions."""
    links = tls_records.links(found.domain.name, window)
    same: Mapping[str, str] = {}  # in the records of an interval are sessions of either kind
    rows = [
        (f"{start:%d %b}", {"successful": counts.successful, "failed": counts.failed})
        for start, counts in zip(found.starts, found.now.series, strict=True)
    ]
    filters = {"": same, "successful": same, "failed": same}
    return {
        "tls": found.now,
        "tls_before": found.previous_period.totals,
        "tls_chart": charts.stacked(("successful", "failed"), rows),
        "tls_links": links,
        "tls_series_links": _series_links(links, found.starts, filters),
    }


def _series_links(
    links: record_lists.Links,
    starts: Sequence[datetime],
    filters: Mapping[str, Mapping[str, str]],
) -> list[dict[str, str]]:
    """Of each interval: its records, with the filters that each series has."""
    hours = [hour_of(start) for start in starts]
    return [
        {series: links.within(start, stop, **wanted) for series, wanted in filters.items()}
        for start, stop in zip(hours, [*hours[1:], NEVER], strict=True)
    ]


@bp.post("/sources")
def decide(domain: str) -> ResponseReturnValue:
    """Say what a source is."""
    visitor, form = pages.user_session(), Form()
    state = form.choice("state", (*DECISIONS, ""))
    note, source = form.text("note", 500), form.text("source", 300)
    form.check()
    sources.decide(
        visitor.account_id, domain, source, state or None, note=note or None, actor=visitor.actor
    )
    return redirect(url_for(".show", domain=domain, days=_days()), 303)


@bp.get("/policy")
def policy(domain: str) -> ResponseReturnValue:
    """Whether the DMARC policy may be raised, and what another would have done."""
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
    found = readiness.sending.domain
    return pages.render(
        "policy.html",
        domain=found,
        links=Links(found.name, window),
        days=days,
        spans=SPANS,
        readiness=readiness,
        ledger=readiness.sending.flow_index,
        most=MAX_ITEMS["sources"],
        uncounted=rollup_queue.pending(found.id),
        unknowns=_caveats(readiness),
        result=result,
        hit=_affected(result) if result else [],
        modes=MODES,
        given=request.args,
        errors=errors,
    )


def _caveats(found: analytics_policy.Readiness) -> dict[str, list[str]]:
    """What reports cannot tell of each step, by its tag."""
    sending, record = found.sending, found.published.record if found.published else Record()
    below = unused.subdomains(sending.domain.name, sending.sources, sending.identities)
    return {
        step.tag: [words for words, _ in subdomains.unknowns(step.tag, record, below)]
        for step in found.steps
    }


def _affected(found: analytics_policy.SimulatedPolicy) -> list[dict[str, Any]]:
    """The sources whose mail would have been hit, those with the most first."""
    by_key = {source.key: source for source in found.sending.sources}
    return [
        {"source": by_key[key], "messages": count, "listed": found.listed_of(key)}
        for key, count in found.replay.sources.most_common(MAX_ITEMS["sources"])
    ]


def _trial() -> PolicyTrial | None:
    """The policy that the form asks about; None before it was sent."""
    if "p" not in request.args:
        return None
    words = {name: request.args.get(name, "") for name in ("p", "sp", "adkim", "aspf")}
    if not all(words[name] in ("", *Policy) for name in ("p", "sp")):
        abort(400, "There is no such policy.")
    if not all(words[name] in MODES for name in ("adkim", "aspf")):
        abort(400, "Alignment is relaxed or strict.")
    removed = request.args.get("remove_spf", "")[:2000].split()
    return PolicyTrial(
        p=Policy(words["p"]) if words["p"] else None,
        sp=Policy(words["sp"]) if words["sp"] else None,
        adkim=words["adkim"] or None,
        aspf=words["aspf"] or None,
        remove_spf=tuple(removed[:50]),
    )


def _days() -> str:
    days = request.values.get("days", "30")
    return days if days in SPANS else "30"


def _window(days: str) -> tuple[datetime, datetime]:
    """From the midnight that many days ago (UTC), today being one of them, until now."""
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=int(days) - 1), now

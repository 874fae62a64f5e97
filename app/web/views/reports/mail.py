"""Pages about a domain's email: its senders, its DMARC results, and the effect of a policy."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from flask import Blueprint, abort, request, url_for
from flask.typing import ResponseReturnValue

from app import wall_clock
from app.analysis.mail.classification import SourceClass
from app.analysis.mail.flow_index import RecordLink
from app.analysis.mail.periods import Window, hour_of, last_days
from app.analysis.mail.record_filter import ALL, RecordFilter, RecordUrls, TlsRecordFilter
from app.analysis.policy.segments import Segment
from app.analysis.policy.verdicts import MAX_LOST_SHARE, MIN_DAYS_AT_POLICY, Verdict
from app.models.senders import DECISIONS
from app.protocols.dmarc import Policy
from app.protocols.timestamps import UTC_ZONE
from app.services.analytics import domain_email, senders, sources
from app.services.analytics import policy as analytics_policy
from app.services.analytics.dmarc import DmarcQuery, DmarcSummary
from app.services.analytics.policy import PolicyTrial, Readiness
from app.services.analytics.senders import SenderFilter, SenderOrder, SenderPage, SenderRow
from app.services.analytics.sources import ManualClassification
from app.services.analytics.tls import TlsSummary
from app.web.base import charts, notices, pages, query, record_lists
from app.web.base.filters import label
from app.web.base.forms import BaseForm, ChoiceField, TextField

bp = Blueprint("mail", __name__, url_prefix="/domains/<domain>")

SPANS = {
    "7": "Last 7 days",
    "30": "Last 30 days",
    "90": "Last 90 days",
    "365": "Last 365 days",
}
INTERVALS: dict[str, Any] = {"7": "day", "30": "day", "90": "day", "365": "week"}
RECORDS, TLS_RECORDS = "web.records.index", "web.tls_records.index"
MAX_SOURCES = 50  # in each list of the Policy page
MAX_SEARCH = 100
MAX_PARTS = 5  # addresses, signatures and the like of one source
MAX_REPORTERS = 30
MAX_GAPS = 5
MAX_FAILURES = 10  # failure types, and hosts with failures
LAST_HOUR = 2**31  # after all others
DMARC_SERIES = {"": ALL, "pass": RecordFilter(result="pass"), "fail": RecordFilter(result="fail")}
# One record counts successful and failed sessions.
TLS_SERIES = dict.fromkeys(("", "successful", "failed"), TlsRecordFilter())
MODES = {"": "As published", "r": "Relaxed", "s": "Strict"}
VERDICTS = {
    Verdict.READY: "Ready",
    Verdict.READY_FOR_QUARANTINE: "Ready for quarantine, stay there",
    Verdict.NOT_READY: "Not ready",
    Verdict.NOT_ENOUGH_DATA: "Not enough data",
}
LADDER_LABELS = {"today": "Today", "next": "Next step"}
DECISION_LABELS = (("approved", "Approve"), ("blocked", "Block"), ("ignored", "Ignore"))
SEGMENT_LABELS = {
    Segment.ALL: "All",
    Segment.YOURS: "Yours",
    Segment.REVIEW: "Needs review",
    Segment.FORWARDERS: "Forwarders",
    Segment.UNAUTHENTICATED: "Unauthenticated",
}
SENDER_ORDERS = {
    SenderOrder.MESSAGES: "Messages, most first",
    SenderOrder.FAILED: "Failing messages, most first",
    SenderOrder.NAME: "Name, A to Z",
}
POLICIES = [("", "As published"), *((policy.value, policy.value) for policy in Policy)]


class ClassificationForm(BaseForm):
    """Classify a source; without a state its classification is reset."""

    state = ChoiceField(
        "Classification", {**{name: label(name) for name in DECISIONS}, "": "Reset"}
    )
    note = TextField("Note", 500)
    source = TextField("Source", 300)
    next = TextField("Next page", 3_000)


@bp.get("/mail")
def show(domain: str) -> ResponseReturnValue:
    """Show messages and TLS sessions over time, with the senders and reporters."""
    account, days, filters = pages.user_session().account_id, _days(), _sender_filters()
    summary_query = DmarcQuery(domain, *_period(days), INTERVALS[days])
    paging = pages.Paging({"days": days, **filters})
    email = domain_email.summarize(
        account, summary_query, _selection(filters), paging.cursor_values, max_parts=MAX_PARTS
    )
    window, name = summary_query.window, email.domain.name
    urls = record_lists.record_urls(RECORDS, name, window)
    return pages.render(
        "mail.html",
        domain=email.domain,
        days=days,
        spans=SPANS,
        mail=email.dmarc,
        chart=_dmarc_chart(email.dmarc),
        urls=_urls(urls),
        series_links=_series_links(urls, email.dmarc.starts, DMARC_SERIES),
        dispositions=[
            (disposition, messages, urls.url(RecordFilter(disposition=disposition)))
            for disposition, messages in email.dmarc.totals.dispositions.items()
        ],
        records_url=partial(_records_url, urls),
        reporters=[
            (reporter, urls.url(RecordFilter(reporter=reporter.name)))
            for reporter in email.coverage.reporters[:MAX_REPORTERS]
        ],
        gaps=email.coverage.gap_times[:MAX_GAPS],
        **_senders(email.senders, filters, {"domain": name, "days": days}),
        following=paging.following(email.senders.cursor_values),
        **_tls(email.tls, record_lists.record_urls(TLS_RECORDS, name, window)),
    )


@bp.get("/mail/senders/file")
def senders_file(domain: str) -> ResponseReturnValue:
    """Download the senders of the period that match the filters."""
    account, window = pages.user_session().account_id, Window.between(*_period(_days()))
    items = senders.file(account, domain, window, _selection(_sender_filters()))
    return record_lists.download(lambda: items, senders.FILE_COLUMNS, "senders")


def _sender_filters() -> dict[str, Any]:
    """Return the filters of the senders that are set; invalid values are reported on the page."""
    filters = {
        "segment": query.choice("segment", tuple(Segment)),
        "q": query.text("q", MAX_SEARCH),
        "sort": query.choice("sort", tuple(SenderOrder)),
        "addresses": query.choice("addresses", ("1",)),
    }
    return {name: value for name, value in filters.items() if value}


def _selection(filters: Mapping[str, Any]) -> SenderFilter:
    """Return the filters by their names in the service."""
    return SenderFilter(
        segment=Segment(filters.get("segment", Segment.ALL)),
        q=filters.get("q", ""),
        order=SenderOrder(filters.get("sort", SenderOrder.MESSAGES)),
        is_addresses_only="addresses" in filters,
    )


def _senders(
    page: SenderPage, filters: Mapping[str, Any], place: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values that the page shows about senders; ``place``: the domain and period."""
    kept = {name: value for name, value in filters.items() if name in ("q", "sort")}
    url = partial(url_for, ".show", **place, _anchor="sources")
    here = request.full_path.rstrip("?")
    is_safe = pages.safe_path(here) == here
    return {
        "senders": page,
        "sender_rows": [(row, _decisions(row)) for row in page.rows],
        "sender_filters": filters,
        "sender_orders": SENDER_ORDERS,
        "tabs": [
            (
                SEGMENT_LABELS[segment],
                page.counts[segment],
                url(segment=segment.value, **kept),
                segment == filters.get("segment", Segment.ALL),
            )
            for segment in Segment
        ],
        "addresses_url": url(segment=Segment.UNAUTHENTICATED.value, addresses="1", **kept),
        "group_url": url(segment=Segment.UNAUTHENTICATED.value, **kept),
        "file_url": url_for(".senders_file", **place, **filters, format="csv"),
        "here": here if is_safe else url(segment=filters.get("segment", Segment.ALL)),
    }


def _decisions(row: SenderRow) -> list[tuple[str, str]]:
    """Return the decisions that change the classification of the sender, with their labels."""
    if row.detail is None:
        return []
    source = row.detail.source
    if source.review:
        decision = source.review.decision
        return [*(pair for pair in DECISION_LABELS if pair[0] != decision), ("", "Reset")]
    return list(DECISION_LABELS[1:] if source.kind is SourceClass.OWN else DECISION_LABELS)


def _dmarc_chart(summary: DmarcSummary) -> charts.Stacked:
    rows = [
        (f"{start:%d %b}", {"pass": totals.passed, "fail": totals.failed})
        for start, totals in zip(summary.starts, summary.series, strict=True)
    ]
    return charts.stacked(("pass", "fail"), rows)


def _urls(urls: RecordUrls) -> dict[str, str]:
    """Return the URLs of the records behind the totals."""
    return {
        "all": urls.url(),
        "before": urls.previous(),
        "passed": urls.url(RecordFilter(result="pass")),
        "failed": urls.url(RecordFilter(result="fail")),
        "dkim": urls.url(RecordFilter(dkim="pass")),
        "spf": urls.url(RecordFilter(spf="pass")),
        "unverified": urls.url(RecordFilter(provenance="unverified")),
    }


def _records_url(urls: RecordUrls, records: RecordLink) -> str | None:
    """Return the URL of the records behind a figure; None if no filters select them.

    The list may have other records too; then ``records.is_exact`` is False.
    """
    return urls.url(records.filter) if records.is_narrow else None


def _tls(summary: TlsSummary, urls: RecordUrls) -> dict[str, Any]:
    """Return the values that the page shows about TLS sessions."""
    rows = [
        (f"{start:%d %b}", {"successful": counts.successful, "failed": counts.failed})
        for start, counts in zip(summary.starts, summary.current.series, strict=True)
    ]
    return {
        "tls": summary.current,
        "tls_partial": summary.partial_reports,
        "tls_before": summary.previous_period.totals,
        "tls_chart": charts.stacked(("successful", "failed"), rows),
        "tls_urls": {"all": urls.url(), "before": urls.previous()},
        "tls_series_links": _series_links(urls, summary.starts, TLS_SERIES)
        if summary.current.reports
        else [],
        "tls_failures": [
            (group, urls.url(group.records)) for group in summary.result_types[:MAX_FAILURES]
        ],
        "tls_hosts": [
            (group, urls.url(group.records)) for group in summary.mx_hosts[:MAX_FAILURES]
        ],
    }


def _series_links(
    urls: RecordUrls,
    starts: Sequence[datetime],
    filters: Mapping[str, RecordFilter | TlsRecordFilter],
) -> list[dict[str, str]]:
    """Return the URLs of the records of each interval, by series with the filter of that series."""
    hours = [hour_of(start) for start in starts]
    return [
        {series: urls.within(start, stop, filter) for series, filter in filters.items()}
        for start, stop in zip(hours, [*hours[1:], LAST_HOUR], strict=True)
    ]


@bp.post("/sources")
def decide(domain: str) -> ResponseReturnValue:
    """Classify a source."""
    user, form = pages.user_session(), ClassificationForm.submitted()
    form.check()
    classification = ManualClassification(
        form.source.text, form.state.text or None, form.note.text or None
    )
    previous = sources.classify(user.account_id, domain, classification, actor=user.actor)
    shown = url_for(".show", domain=domain, days=_days())
    url = pages.safe_path(form.next.text) if form.next.text else shown
    undo = {"kind": "source", "url": url, "domain": domain, "classification": previous}
    decision = label(form.state.text) if form.state.text else "reset"
    message = f"The classification of {classification.source} was saved: {decision}."
    return notices.redirect(url, message, undo=undo)


@bp.get("/policy")
def policy(domain: str) -> ResponseReturnValue:
    """Show whether the DMARC policy can be tightened, and simulate another policy."""
    account, days = pages.user_session().account_id, _days()
    window = Window.between(*_period(days))
    review = analytics_policy.review(account, domain, window, _trial(), limit=MAX_SOURCES)
    readiness = review.readiness
    name, details = readiness.domain.name, readiness.step_details
    urls = record_lists.record_urls(RECORDS, name, window)
    return pages.render(
        "policy.html",
        domain=readiness.domain,
        days=days,
        spans=SPANS,
        readiness=readiness,
        look=_look(readiness),
        ladder=_ladder(readiness),
        ladder_labels=LADDER_LABELS,
        first=details[0] if details else None,
        others=details[1:],
        decisions=DECISION_LABELS,
        own_decisions=DECISION_LABELS[1:],
        here=request.full_path,
        addresses_url=url_for(
            ".show",
            domain=name,
            days=days,
            segment=Segment.UNAUTHENTICATED.value,
            addresses="1",
            _anchor="sources",
        ),
        result=review.simulation,
        verdicts=VERDICTS,
        limits={"days_at_policy": MIN_DAYS_AT_POLICY, "lost_share": MAX_LOST_SHARE},
        records_url=partial(_records_url, urls),
        all_url=urls.url(),
        modes=MODES,
        policies=POLICIES,
        form=request.args,
        errors=pages.field_errors(review.error) if review.error else {},
    )


def _look(readiness: Readiness) -> str:
    """Return the look of the headline."""
    if not readiness.steps:
        return "ok"
    is_ready = readiness.steps[0].is_ready
    return "undetermined" if is_ready is None else "ok" if is_ready else "fail"


def _ladder(readiness: Readiness) -> list[tuple[Policy, str]]:
    """Return the policies from none to reject, with where the domain is today and goes next."""
    steps = readiness.steps
    upcoming = steps[0].proposed if steps and steps[0].tag == "p" else None
    states = {readiness.current: "today", upcoming: "next"}
    return [(policy, states.get(policy, "")) for policy in Policy]


def _trial() -> PolicyTrial | None:
    """Return the policy that the form simulates; None before the form was sent."""
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


def _period(days: str) -> tuple[datetime, datetime]:
    """Return the last ``days`` days in UTC with today, from midnight of the first day until now."""
    now = wall_clock.now()
    return last_days(now, int(days), UTC_ZONE), now

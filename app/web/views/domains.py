"""Pages about domains: the list, all that is known of one, and its scans."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app import settings
from app.checks import CHECKS
from app.checks.engine.types import Severity, Usage
from app.errors import Conflict, InvalidRequest
from app.models import Domain, DomainState
from app.models.domains import SCHEDULES
from app.models.scans import UNFINISHED
from app.services.alerts import alerts
from app.services.core import domain_lookup
from app.services.domains import dashboard, dns_status, domains, verification
from app.services.domains.dns_status import ChangeFilter
from app.services.domains.domains import DomainFilter, NewDomain
from app.services.scans import scans
from app.services.scans.scans import ScanFilter
from app.web.base import pages
from app.web.base.forms import Form, domain_settings

bp = Blueprint("domains", __name__, url_prefix="/domains")

SORTS = {"-createdAt": "newest first", "name": "by name", "-score": "best score first"}
GRADES = ("A", "B", "C", "D", "F")
PAGE = 50
MAX_DOMAINS = 500


@bp.get("")
def index() -> ResponseReturnValue:
    """The account's domains, and a form to add one."""
    return _list()


@bp.post("")
def create() -> ResponseReturnValue:
    """Add a domain, and have it scanned."""
    visitor, form = pages.user_session(), Form()
    try:
        new = NewDomain(form.text("name"), form.usage())
        form.check()
        domain = domains.create(visitor.account_id, new, actor=visitor.actor)
    except (InvalidRequest, Conflict) as error:
        return _list(error.status, errors=pages.field_errors(error))
    scans.trigger(visitor.account_id, domain.name, actor=visitor.actor, trigger="dashboard")
    return redirect(url_for(".show", domain=domain.name), 303)


@bp.get("/add")
def add() -> ResponseReturnValue:
    """A form for many domains at once."""
    return _add_form()


@bp.post("/add")
def create_many() -> ResponseReturnValue:
    """Add many domains and have them scanned; what became of each."""
    visitor, form = pages.user_session(), Form()
    names = form.text("names", MAX_DOMAINS * 260).replace(",", " ").split()
    if not 1 <= len(names) <= MAX_DOMAINS:
        form.add_error("names", f"1 to {MAX_DOMAINS} names, one on each line")
    try:
        wanted = domain_settings(form)
        form.check()
    except InvalidRequest as error:
        return _add_form(error.status, errors=pages.field_errors(error))
    news = [NewDomain(name[:1000], **wanted) for name in dict.fromkeys(names)]
    added = domains.create_many(visitor.account_id, news, actor=visitor.actor)
    made = [one.name for one in added if one.id is not None]
    if made:
        scans.trigger_many(visitor.account_id, scans.Selection(refs=made), actor=visitor.actor)
    return pages.render("domains_added.html", added=added, made=made)


@bp.get("/<domain>")
def show(domain: str) -> ResponseReturnValue:
    """All that is known of one domain."""
    account = pages.user_session().account_id
    found, state = dns_status.status(account, domain)
    live = alerts.live(account, found.name)
    return pages.render(
        "domain.html",
        domain=found,
        checks=_checks(state),
        next_steps=state.score.get("recommendations", []) if state else [],
        scan=_latest_scan(account, found),
        alerts=sorted(
            (alert for alert in live if alert.status == "open"),
            key=lambda alert: Severity(alert.severity).rank,
        ),
        alerts_of={(alert.type, alert.subject): alert for alert in live},
        accepted=[alert for alert in live if alert.accepted_until],
        challenge=_challenge(account, found),
        score_trend=dashboard.trends(account, [found.id]).get(found.id, []),
        looked=request.args.get("looked") == "1",
    )


@bp.get("/<domain>/scan")
def progress(domain: str) -> ResponseReturnValue:
    """How the scan stands: a piece of the domain's page, which asks for it until it has ended."""
    account = pages.user_session().account_id
    found = domain_lookup.find(account, domain)
    scan = _latest_scan(account, found)
    response = pages.render("scan_state.html", domain=found, scan=scan)
    if scan is None or scan.status not in UNFINISHED:
        response.headers["HX-Refresh"] = "true"  # now the whole page says something else
    return response


@bp.post("/<domain>/scan")
def scan(domain: str) -> ResponseReturnValue:
    """Ask for a scan now."""
    visitor = pages.user_session()
    found = scans.trigger(visitor.account_id, domain, actor=visitor.actor, trigger="dashboard")
    return redirect(url_for(".show", domain=found.scan.domain_name), 303)


@bp.post("/<domain>/verify")
def verify(domain: str) -> ResponseReturnValue:
    """Look for the record that proves control, now."""
    visitor = pages.user_session()
    door = current_app.extensions["door"]
    found = verification.verify(visitor.account_id, domain, door, actor=visitor.actor)
    return redirect(url_for(".show", domain=found.name, looked=1), 303)


@bp.get("/<domain>/history")
def history(domain: str) -> ResponseReturnValue:
    """What changed in its DNS, and its scans."""
    account = pages.user_session().account_id
    found = domain_lookup.find(account, domain)
    cursor = pages.Paging({})
    changes, following = dns_status.history(
        account, domain, ChangeFilter(), place=cursor.given, limit=20
    )
    done, _ = scans.search(account, ScanFilter(domain=found.name), limit=20)
    return pages.render(
        "history.html",
        domain=found,
        changes=changes,
        following=cursor.following(following),
        scans=done if not cursor.given else [],
    )


@bp.get("/<domain>/settings")
def edit(domain: str) -> ResponseReturnValue:
    """The form with how it is watched."""
    return _edit_form(domain_lookup.find(pages.user_session().account_id, domain))


@bp.post("/<domain>/settings")
def update(domain: str) -> ResponseReturnValue:
    """Watch it in another way."""
    visitor, form = pages.user_session(), Form()
    try:
        changes = domain_settings(form)
        form.check()
    except InvalidRequest as error:
        found = domain_lookup.find(visitor.account_id, domain)
        return _edit_form(found, error.status, errors=pages.field_errors(error))
    changes["usage"] = changes["usage"].value
    found = domains.update(visitor.account_id, domain, changes, actor=visitor.actor)
    return redirect(url_for(".show", domain=found.name), 303)


@bp.post("/<domain>/hold")
def hold(domain: str) -> ResponseReturnValue:
    """Put the domain on legal hold."""
    visitor = pages.user_session()
    domains.hold(visitor.account_id, domain, request.form.get("reason", ""), actor=visitor.actor)
    return redirect(url_for(".edit", domain=domain), 303)


@bp.post("/<domain>/release")
def release(domain: str) -> ResponseReturnValue:
    """Release the legal hold."""
    visitor = pages.user_session()
    domains.release_hold(visitor.account_id, domain, actor=visitor.actor)
    return redirect(url_for(".edit", domain=domain), 303)


@bp.post("/<domain>/delete")
def delete(domain: str) -> ResponseReturnValue:
    """Remove it with all that hangs on it."""
    visitor = pages.user_session()
    domains.delete(visitor.account_id, domain, actor=visitor.actor)
    return redirect(url_for(".index"), 303)


def _list(status: int = 200, errors: Mapping[str, str] | None = None) -> ResponseReturnValue:
    account = pages.user_session().account_id
    filters = _filters()
    cursor = pages.Paging(filters)
    query = DomainFilter(
        q=filters["q"] or None,
        tag=filters["tag"] or None,
        grade=filters["grade"] or None,
        sort=filters["sort"],
    )
    rows, following = domains.search(account, query, place=cursor.given, limit=PAGE)
    shown = [row.id for row in rows]
    counts = domains.open_alert_counts(account, shown)
    return pages.render(
        "domains.html",
        status,
        domains=rows,
        counts={key: _worst_first(found) for key, found in counts.items()},
        trends=dashboard.trends(account, shown),
        following=cursor.following(following),
        filters={name: value for name, value in filters.items() if value},
        sorts=SORTS,
        grades=GRADES,
        usages=list(Usage),
        errors=errors or {},
        form=request.form,
    )


def _filters() -> dict[str, str]:
    """What the list is asked for; what makes no sense counts as not asked."""
    sort, grade = request.args.get("sort", ""), request.args.get("grade", "")
    return {
        "q": request.args.get("q", "").strip()[:253].replace("\0", ""),
        "tag": request.args.get("tag", "").strip()[:50].replace("\0", ""),
        "grade": grade if grade in GRADES else "",
        "sort": sort if sort in SORTS else "-createdAt",
    }


def _add_form(status: int = 200, errors: Mapping[str, str] | None = None) -> ResponseReturnValue:
    return pages.render(
        "domains_add.html",
        status,
        usages=list(Usage),
        schedules=SCHEDULES,
        errors=errors or {},
        form=request.form or {"usage": Usage.BOTH.value, "schedule": "daily"},
        most=MAX_DOMAINS,
    )


def _edit_form(
    domain: Domain, status: int = 200, errors: Mapping[str, str] | None = None
) -> ResponseReturnValue:
    known = {
        "usage": domain.usage,
        "schedule": domain.schedule,
        "tags": ", ".join(domain.tags),
        "selectors": " ".join(domain.dkim_selectors),
    }
    return pages.render(
        "domain_settings.html",
        status,
        domain=domain,
        usages=list(Usage),
        schedules=SCHEDULES,
        errors=errors or {},
        form=request.form or known,
    )


def _latest_scan(account: UUID, domain: Domain) -> Any:
    latest, _ = scans.search(account, ScanFilter(domain=domain.name), limit=1)
    return latest[0] if latest else None


def _worst_first(counts: Mapping[str, int]) -> Sequence[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: Severity(item[0]).rank)


def _checks(state: DomainState | None) -> list[dict[str, Any]]:
    """What each check last said, in the order of the checks.

    returns  ``check``, ``known`` (the last definite judgement, or None) and ``unseen``: why the
             last scan could not judge it, or None
    """
    if state is None:
        return []
    return [
        {
            "check": check.name,
            "known": state.last_results.get(check.name),
            "unseen": state.undetermined.get(check.name),
        }
        for check in CHECKS
        if check.name in state.last_results or check.name in state.undetermined
    ]


def _challenge(account: UUID, domain: Domain) -> verification.Challenge | None:
    """The record that proves control, while that is asked for."""
    is_required = settings.current().domain_verification == "required"
    if not is_required or verification.is_verified(domain.verified_at):
        return None
    return verification.challenge(account, domain.name)

"""Pages about domains: the list, one domain with its results, and its scans."""

from collections.abc import Mapping, Set
from typing import Any

from flask import Blueprint, current_app, url_for
from flask.typing import ResponseReturnValue

from app.checks import CHECKS
from app.checks.engine.types import Usage
from app.errors import Conflict, InvalidRequest
from app.models import Domain, DomainState
from app.protocols.quantities import quantity
from app.services.core import domain_lookup
from app.services.domain_status import domain_pages
from app.services.domain_status.domain_list import DomainFilter
from app.services.domains import domains, verification
from app.services.domains.domains import NewDomain
from app.services.scans import scans, serialization
from app.web.base import notices, pages, query, submissions
from app.web.views.domains.domain_forms import (
    HoldForm,
    MonitoringForm,
    NewDomainForm,
    NewDomainsForm,
)

bp = Blueprint("domains", __name__, url_prefix="/domains")

NOT_VERIFIED = (
    "We couldn't find the record yet. DNS changes can take a few minutes; try again shortly."
)
SORTS = {"-createdAt": "Newest first", "name": "Name", "-score": "Score, high to low"}
GRADES = ("A", "B", "C", "D", "F")
PROFILE_RESULTS = {"fail": "Fails", "pass": "Passes", "undetermined": "Undetermined"}


@bp.get("")
def index() -> ResponseReturnValue:
    """List the account's domains, with a form to add one."""
    return _list()


@bp.post("")
def create() -> ResponseReturnValue:
    """Add a domain and scan it."""
    user, form = pages.user_session(), NewDomainForm.submitted()
    try:
        form.check()
        new = NewDomain(form.name.text, Usage(form.usage.text))
        domain = domains.create(user.account_id, new, actor=user.actor)
    except (Conflict, InvalidRequest) as error:
        form.add_errors(error, otherwise="name")
        return _list(error.status, form, error.extra.get("existingId"))
    scans.trigger(user.account_id, domain.name, actor=user.actor, trigger="dashboard")
    message = f"{domain.name} was added. Its first scan is running."
    return notices.redirect(url_for(".show", domain=domain.name), message)


@bp.get("/add")
def add() -> ResponseReturnValue:
    """Show the form to add multiple domains."""
    return pages.render("domains_add.html", form=NewDomainsForm())


@bp.post("/add")
def create_many() -> ResponseReturnValue:
    """Add multiple domains and scan them; the next page shows the result of each."""
    user, form = pages.user_session(), NewDomainsForm.submitted()
    if not form.validate():
        return pages.render("domains_add.html", 400, form=form)
    values = form.settings()
    new = [NewDomain(name[:1000], **values) for name in dict.fromkeys(form.split_names())]

    def create_all() -> dict[str, Any]:
        added = domains.create_many(user.account_id, new, actor=user.actor)
        if added.created:
            selection = scans.Selection(refs=added.created)
            scans.trigger_many(user.account_id, selection, actor=user.actor)
        rejected = [(row.name, row.error.message) for row in added.results if row.error]
        return {
            "added": added.created,
            "rejected": rejected,
            "total": len(added.results),
            "notice": f"{quantity(len(added.created), 'domain')} added.",
        }

    return submissions.process("domains", create_all)


@bp.get("/<domain>")
def show(domain: str) -> ResponseReturnValue:
    """Show a domain with its results, alerts and recommendations."""
    page = domain_pages.results(pages.user_session().account_id, domain)
    return pages.render(
        "domain.html",
        domain=page.domain,
        checks=_checks(page.state, {step["check"] for step in page.recommendations}),
        next_steps=page.recommendations,
        scan=page.scan,
        alerts=page.open_alerts,
        alerts_of={(alert.type, alert.subject): alert for alert in page.live},
        accepted=page.accepted,
        challenge=page.challenge,
        score_trend=page.score_trend,
    )


@bp.get("/<domain>/scan")
def progress(domain: str) -> ResponseReturnValue:
    """Show the progress of the latest scan; the domain's page polls this until the scan ends."""
    latest = domain_pages.progress(pages.user_session().account_id, domain)
    response = pages.render("scan_state.html", domain=latest.domain, scan=latest.scan)
    if latest.is_finished:
        response.headers["HX-Refresh"] = "true"  # the whole page has new results
    return response


@bp.post("/<domain>/scan")
def scan(domain: str) -> ResponseReturnValue:
    """Start a scan."""
    user = pages.user_session()
    triggered = scans.trigger(user.account_id, domain, actor=user.actor, trigger="dashboard")
    name = triggered.scan.domain_name
    return notices.redirect(url_for(".show", domain=name), f"A scan of {name} was started.")


@bp.post("/<domain>/verify")
def verify(domain: str) -> ResponseReturnValue:
    """Check now for the record that proves ownership."""
    user = pages.user_session()
    network = current_app.extensions["network"]
    row = verification.verify(user.account_id, domain, network, actor=user.actor)
    url = url_for(".show", domain=row.name)
    if row.verified_at is None:
        return notices.refuse(url, NOT_VERIFIED)
    return notices.redirect(url, f"{row.name} is verified.")


@bp.get("/<domain>/history")
def history(domain: str) -> ResponseReturnValue:
    """Show the DNS changes and the recent scans of a domain."""
    cursor = pages.Paging({})
    page = domain_pages.history(pages.user_session().account_id, domain, cursor.cursor_values)
    return pages.render(
        "history.html",
        domain=page.domain,
        changes=page.changes,
        following=cursor.following(page.cursor_values),
        scans=page.scans,
    )


@bp.get("/<domain>/settings")
def edit(domain: str) -> ResponseReturnValue:
    """Show the monitoring settings of a domain."""
    return _edit_form(domain_lookup.find(pages.user_session().account_id, domain))


@bp.post("/<domain>/settings")
def update(domain: str) -> ResponseReturnValue:
    """Change the monitoring settings of a domain."""
    user, form = pages.user_session(), MonitoringForm.submitted()
    if not form.validate():
        return _edit_form(domain_lookup.find(user.account_id, domain), 400, form=form)
    changes = form.settings()
    changes["usage"] = changes["usage"].value
    row = domains.update(user.account_id, domain, changes, actor=user.actor)
    url = url_for(".show", domain=row.name)
    return notices.redirect(url, f"The settings of {row.name} were saved.")


@bp.post("/<domain>/hold")
def hold(domain: str) -> ResponseReturnValue:
    """Put the domain on legal hold."""
    user, form = pages.user_session(), HoldForm.submitted()
    try:
        form.check()
        domains.hold(user.account_id, domain, form.reason.text, actor=user.actor)
    except InvalidRequest as error:
        form.add_errors(error, otherwise="reason")
        row = domain_lookup.find(user.account_id, domain)
        return _edit_form(row, error.status, hold_form=form)
    return notices.redirect(url_for(".edit", domain=domain), f"{domain} is on legal hold.")


@bp.post("/<domain>/release")
def release(domain: str) -> ResponseReturnValue:
    """Release the legal hold."""
    user = pages.user_session()
    domains.release_hold(user.account_id, domain, actor=user.actor)
    message = f"The legal hold of {domain} was released."
    return notices.redirect(url_for(".edit", domain=domain), message)


@bp.post("/<domain>/delete")
def delete(domain: str) -> ResponseReturnValue:
    """Delete the domain and all its data."""
    user = pages.user_session()
    name = domain_lookup.find(user.account_id, domain).name
    if not notices.is_confirmed(name):
        return notices.refuse(url_for(".edit", domain=name), f"Enter {name} to delete it.")
    domains.delete(user.account_id, domain, actor=user.actor)
    return notices.redirect(url_for(".index"), f"{name} and its data were deleted.")


def _list(
    status: int = 200, form: NewDomainForm | None = None, existing: str | None = None
) -> ResponseReturnValue:
    """Render the list; ``existing`` is the id of a domain that could not be added a second time."""
    filters = _filters()
    cursor = pages.Paging(filters)
    selection = DomainFilter(
        q=filters["q"] or None,
        tag=filters["tag"] or None,
        grade=filters["grade"] or None,
        profile=filters["profile"] or None,
        profile_result=filters["profileResult"] or None,
        sort=filters["sort"],
    )
    page = domain_pages.listing(pages.user_session().account_id, selection, cursor.cursor_values)
    return pages.render(
        "domains.html",
        status,
        domains=page.domains,
        counts=page.open_alerts,
        trends=page.score_trends,
        following=cursor.following(page.cursor_values),
        filters={name: value for name, value in filters.items() if value},
        sorts=SORTS,
        grades=GRADES,
        profiles=page.profiles,
        profile_results=PROFILE_RESULTS,
        existing=existing,
        form=form or NewDomainForm(),
    )


def _filters() -> dict[str, str]:
    """Return the filters of the list; invalid values are reported on the page."""
    profile, result = query.text("profile", 50), query.choice("profileResult", PROFILE_RESULTS)
    return {
        "q": query.text("q"),
        "tag": query.text("tag", 50),
        "grade": query.choice("grade", GRADES),
        "profile": profile,
        "profileResult": (result or "fail") if profile else "",
        "sort": query.choice("sort", SORTS, "-createdAt"),
    }


def _edit_form(
    domain: Domain,
    status: int = 200,
    *,
    form: MonitoringForm | None = None,
    hold_form: HoldForm | None = None,
) -> ResponseReturnValue:
    return pages.render(
        "domain_settings.html",
        status,
        domain=domain,
        form=form or MonitoringForm.of(domain),
        hold_form=hold_form or HoldForm(),
    )


def _checks(state: DomainState | None, linked: Set[str]) -> list[dict[str, Any]]:
    """Return the last result of each check, in the order of the checks.

    linked   the checks that the list of next steps links to
    returns  ``check``, ``known`` (the last definite result, or None), ``undetermined_reason`` (the
             reason why the last scan could not determine it, or None), ``is_set_up`` and
             ``is_linked``
    """
    if state is None:
        return []
    return [
        {
            "check": check.name,
            "known": known and serialization.last_result(known),
            "undetermined_reason": state.undetermined.get(check.name),
            "is_set_up": _is_set_up(known),
            "is_linked": check.name in linked,
        }
        for check in CHECKS
        for known in [state.last_results.get(check.name)]
        if check.name in state.last_results or check.name in state.undetermined
    ]


def _is_set_up(result: Mapping[str, Any] | None) -> bool:
    """Whether what the check looks for exists; an absent record is a ``….missing`` finding."""
    findings = result["findings"] if result else ()
    return not any(finding["code"].endswith(".missing") for finding in findings)

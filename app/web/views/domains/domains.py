"""Pages about one domain: its results, scans, history and settings."""

from collections.abc import Mapping, Set
from typing import Any

from flask import current_app, request, url_for
from flask.typing import ResponseReturnValue

from app.checks import CHECKS, FINDING_TYPES
from app.errors import InvalidRequest
from app.models import Domain, DomainState
from app.services.core import domain_lookup
from app.services.domain_status import domain_pages
from app.services.domains import domains, verification
from app.services.scans import scans, serialization
from app.web.base import notices, pages
from app.web.views.domains import shares
from app.web.views.domains.domain_forms import HoldForm, MonitoringForm
from app.web.views.domains.domain_list import bp

NOT_VERIFIED = (
    "We couldn't find the record yet. DNS changes can take a few minutes; try again shortly."
)


@bp.get("/<domain>")
def show(domain: str) -> ResponseReturnValue:
    """Show a domain with its results, alerts and recommendations."""
    page = domain_pages.results(pages.user_session().account_id, domain)
    return pages.render(
        "domain.html",
        domain=page.domain,
        decided_on=_decided_on(page.domain.name),
        checks=_checks(page.state, {step["check"] for step in page.recommendations}),
        next_steps=page.recommendations,
        scan=page.scan,
        alerts=page.open_alerts,
        alerts_of={(alert.type, alert.subject): alert for alert in page.live},
        accepted=page.accepted,
        formats_of=page.fix_formats,
        challenge=page.challenge,
        score_trend=page.score_trend,
        share_links=shares.listed(page.share_links),
        share_form=shares.ShareForm(),
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
    """Start a scan; ``check`` is the check whose results the user wants to see again."""
    user = pages.user_session()
    triggered = scans.trigger(user.account_id, domain, actor=user.actor, trigger="dashboard")
    name = triggered.scan.domain_name
    check = request.form.get("check", "")
    anchor = f"check-{check}" if any(check == item.name for item in CHECKS) else None
    url = url_for(".show", domain=name, _anchor=anchor)
    return notices.redirect(url, f"A scan of {name} was started.")


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


def _decided_on(domain: str) -> dict[str, str]:
    """Return by finding code the URL of the page that shows whether the remediation is safe."""
    return {
        kind.code: url_for(f"web.mail.{kind.decided_on}", domain=domain)
        for kind in FINDING_TYPES.values()
        if kind.decided_on
    }


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

"""Pages about domains: the list, and all that is known of one."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app import settings
from app.checks import CHECKS
from app.checks.contract import Severity, Usage
from app.errors import Conflict, InvalidRequest
from app.models import Domain, DomainState
from app.services import alerts, dns, domains, scans, verification
from app.services.alerts import AlertFilter
from app.services.dns import ChangeFilter
from app.services.domains import DomainFilter, NewDomain
from app.services.scans import ScanFilter
from app.web import pages

bp = Blueprint("domains", __name__, url_prefix="/domains")

SORTS = {"-createdAt": "newest first", "name": "by name", "-score": "best score first"}
PAGE = 50


@bp.get("")
def index() -> ResponseReturnValue:
    """The account's domains, and a form to add one."""
    return _list()


@bp.post("")
def create() -> ResponseReturnValue:
    """Add a domain, and have it scanned."""
    visitor = pages.visitor()
    usage = request.form.get("usage", "")
    try:
        if usage not in list(Usage):
            raise InvalidRequest([{"field": "usage", "code": "invalid", "message": "choose one"}])
        new = NewDomain(request.form.get("name", "").strip()[:1000], Usage(usage))
        domain = domains.create(visitor.account_id, new, actor=visitor.actor)
    except (InvalidRequest, Conflict) as error:
        return _list(error.status, errors=pages.complaints(error))
    scans.trigger(visitor.account_id, domain.name, actor=visitor.actor, trigger="dashboard")
    return redirect(url_for(".show", domain=domain.name), 303)


@bp.get("/<domain>")
def show(domain: str) -> ResponseReturnValue:
    """All that is known of one domain."""
    account = pages.visitor().account_id
    found, state = dns.status(account, domain)
    changes, _ = dns.history(account, domain, ChangeFilter(), limit=10)
    latest, _ = scans.search(account, ScanFilter(domain=found.name), limit=1)
    open_alerts, _ = alerts.search(account, AlertFilter(domain=found.name, status="open"))
    return pages.render(
        "domain.html",
        domain=found,
        checks=_checks(state),
        next_steps=state.score.get("next", []) if state else [],
        changes=changes,
        scan=latest[0] if latest else None,
        alerts=sorted(open_alerts, key=lambda alert: Severity(alert.severity).rank),
        challenge=_challenge(account, found),
    )


@bp.post("/<domain>/scan")
def scan(domain: str) -> ResponseReturnValue:
    """Ask for a scan now."""
    visitor = pages.visitor()
    found = scans.trigger(visitor.account_id, domain, actor=visitor.actor, trigger="dashboard")
    return redirect(url_for(".show", domain=found.scan.domain_name), 303)


def _list(status: int = 200, errors: dict[str, str] | None = None) -> ResponseReturnValue:
    account = pages.visitor().account_id
    q = request.args.get("q", "").strip()[:253]
    sort = request.args.get("sort", "")
    sort = sort if sort in SORTS else "-createdAt"
    cursor = pages.cursor({"q": q, "sort": sort})
    given = request.args.get("cursor")
    place = cursor.open(given) if given else None
    query = DomainFilter(q=q.replace("\0", "") or None, sort=sort)
    rows, following = domains.search(account, query, place=place, limit=PAGE)
    counts = domains.open_alert_counts(account, [row.id for row in rows])
    return pages.render(
        "domains.html",
        status,
        domains=rows,
        counts={key: _worst_first(found) for key, found in counts.items()},
        following=cursor.seal(following) if following else None,
        filters={"q": q, "sort": sort},
        sorts=SORTS,
        usages=list(Usage),
        errors=errors or {},
        form=request.form,
    )


def _worst_first(counts: Any) -> list[tuple[str, int]]:
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
            "known": state.known.get(check.name),
            "unseen": state.unseen.get(check.name),
        }
        for check in CHECKS
        if check.name in state.known or check.name in state.unseen
    ]


def _challenge(account: UUID, domain: Domain) -> verification.Challenge | None:
    """The record that proves control, while that is asked for."""
    is_required = settings.current().domain_verification == "required"
    if not is_required or verification.is_verified(domain.verified_at):
        return None
    return verification.challenge(account, domain.name)

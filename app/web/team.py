"""The people of the account: who is in it, as what, and who is invited."""

from collections.abc import Mapping
from uuid import UUID

from flask import Blueprint, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app import ids, settings
from app.errors import Conflict, InvalidRequest
from app.models.accounts import ROLES
from app.services import team
from app.web import pages
from app.web.forms import Form

bp = Blueprint("team", __name__, url_prefix="/settings/team")

MEANINGS = {
    "owner": "Everything, other owners included.",
    "admin": "Keys, report intake, notifications and the team; and what a member may.",
    "member": "Domains, scans, alerts and uploads.",
    "viewer": "Looks at everything and changes nothing.",
}


@bp.get("")
def index() -> ResponseReturnValue:
    """Everybody, and a form to invite somebody."""
    return _page()


@bp.post("")
def invite() -> ResponseReturnValue:
    """An invitation; this answer is the only place that ever shows its link."""
    visitor, form = pages.visitor(), Form()
    try:
        email, role = form.text("email", 254), form.choice("role", ROLES)
        form.check()
        token = team.invite(visitor, email, role)
    except (InvalidRequest, Conflict) as error:
        return _page(error.status, errors=pages.complaints(error, "email"))
    link = settings.current().base_url + url_for("web.auth.invitation", token=token)
    return _page(201, link=link, invited=email)


@bp.post("/invitations/<id>/withdraw")
def withdraw(id: str) -> ResponseReturnValue:
    """The link is worth nothing from now on."""
    team.withdraw(pages.visitor(), _parsed("inv", id))
    return redirect(url_for(".index"), 303)


@bp.post("/<id>/role")
def change_role(id: str) -> ResponseReturnValue:
    """Make somebody something else."""
    team.change_role(pages.visitor(), _parsed("usr", id), request.form.get("role", ""))
    return redirect(url_for(".index"), 303)


@bp.post("/<id>/remove")
def remove(id: str) -> ResponseReturnValue:
    """Take somebody out of the account."""
    team.remove(pages.visitor(), _parsed("usr", id))
    return redirect(url_for(".index"), 303)


def _page(
    status: int = 200,
    errors: Mapping[str, str] | None = None,
    link: str | None = None,
    invited: str | None = None,
) -> ResponseReturnValue:
    visitor = pages.visitor()
    return pages.render(
        "team.html",
        status,
        members=team.members(visitor.account_id),
        invitations=team.invitations(visitor.account_id),
        meanings=MEANINGS,
        grantable=[role for role in ROLES if visitor.is_at_least(role)],
        errors=errors or {},
        form=request.form if errors else {},
        link=link,
        invited=invited,
    )


def _parsed(prefix: str, text: str) -> UUID:
    found = ids.parse(prefix, text)
    if found is None:
        abort(404)
    return found

"""The team page: users with their roles, invitations, and API keys of former members."""

from typing import Any
from uuid import UUID

from flask import Blueprint, abort, request, url_for
from flask.typing import ResponseReturnValue
from wtforms.widgets import EmailInput, RadioInput

from app import ids
from app.errors import Conflict, InvalidRequest
from app.models.accounts import ROLES
from app.services.people import invitations, key_creators, members, people_pages
from app.web.base import notices, pages, submissions
from app.web.base.filters import label
from app.web.base.forms import BaseForm, ChoiceField, TextField

bp = Blueprint("team", __name__, url_prefix="/settings/team")

MEANINGS = {
    "owner": "Everything an admin can do, plus managing owners.",
    "admin": "Everything a member can do, plus API keys, reporting, notifications and team.",
    "member": "Manages domains, scans, alerts and uploads.",
    "viewer": "Can view everything and change nothing.",
}


class InviteForm(BaseForm):
    """Invite a teammate."""

    email = TextField(
        "Email", 254, widget=EmailInput(), render_kw={"required": True, "autocomplete": "off"}
    )
    role = ChoiceField(
        "Role",
        {role: label(role) for role in ROLES},
        default="member",
        option_widget=RadioInput(),
        render_kw={"required": True},
    )


@bp.get("")
def index() -> ResponseReturnValue:
    """List the users of the account, with a form to invite another one."""
    return _page()


@bp.post("")
def invite() -> ResponseReturnValue:
    """Invite a user; without a mail server the next page shows the link once."""
    form = InviteForm.submitted()

    def create() -> dict[str, Any]:
        created = invitations.create(pages.user_session(), form.email.text, form.role.text)
        notice = f"{created.email} was invited."
        return {"email": created.email, "link": created.link, "notice": notice}

    try:
        form.check()
        return submissions.process("invitation", create)
    except (InvalidRequest, Conflict) as error:
        form.add_errors(error, otherwise="email")
        return _page(error.status, form)


@bp.post("/invitations/<id>/withdraw")
def withdraw(id: str) -> ResponseReturnValue:
    """Revoke an invitation; its link stops working."""
    invitations.revoke(pages.user_session(), _parsed("inv", id))
    return notices.redirect(url_for(".index"), "The invitation was revoked.")


@bp.post("/<id>/role")
def change_role(id: str) -> ResponseReturnValue:
    """Change the role of a user."""
    members.change_role(pages.user_session(), _parsed("usr", id), request.form.get("role", ""))
    return notices.redirect(url_for(".index"), "The role was changed.")


@bp.post("/<id>/remove")
def remove(id: str) -> ResponseReturnValue:
    """Remove a user; the page then lists the API keys that the user created."""
    user, member_id = pages.user_session(), _parsed("usr", id)
    email = members.find(user.account_id, member_id).email
    if not notices.is_confirmed(email):
        return notices.refuse(url_for(".index"), f"Enter {email} to remove this person.")
    members.remove(user, member_id)
    return notices.redirect(url_for(".index"), f"{email} was removed from the account.")


@bp.post("/api-keys/revoke")
def revoke_keys() -> ResponseReturnValue:
    """Revoke every API key of a user who is no longer in the account."""
    key_creators.revoke_all(pages.user_session(), request.form.get("creator", "")[:300])
    return notices.redirect(url_for(".index"), "The API keys were revoked.")


def _page(status: int = 200, form: InviteForm | None = None) -> ResponseReturnValue:
    user = pages.user_session()
    team = people_pages.team(user.account_id)
    return pages.render(
        "team.html",
        status,
        members=team.members,
        former=team.former,
        invitations=team.invitations,
        meanings=MEANINGS,
        grantable=[role for role in ROLES if user.is_at_least(role)],
        form=form or InviteForm(),
    )


def _parsed(prefix: str, text: str) -> UUID:
    id = ids.parse(prefix, text)
    if id is None:
        abort(404)
    return id

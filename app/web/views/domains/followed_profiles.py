"""The settings page of the compliance profiles that the account follows."""

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from app.services.domains import profiles
from app.web.base import notices, pages

bp = Blueprint("followed_profiles", __name__, url_prefix="/settings/profiles")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show all profiles, with a form to choose those that alerts are opened for."""
    catalog = profiles.catalog(pages.user_session().account_id)
    return pages.render("followed_profiles.html", profiles=catalog)


@bp.post("")
def update() -> ResponseReturnValue:
    """Follow the selected profiles, and no others."""
    user = pages.user_session()
    profiles.follow(user.account_id, request.form.getlist("profile"), actor=user.actor)
    return notices.redirect(url_for(".index"), "The followed profiles were saved.")

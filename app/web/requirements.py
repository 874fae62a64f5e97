"""What a request of the dashboard must have: a session, and for forms a CSRF token and the role."""

import re
from urllib.parse import urlsplit

from flask import abort, g, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app import settings
from app.services.audit import refusals
from app.services.audit.refusals import Refusal
from app.services.sign_in import sessions
from app.web.access import drafts
from app.web.base import dashboard_limits, notices, pages

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def require_session() -> ResponseReturnValue | None:
    """Require a session, and for forms a same-origin request, a CSRF token and the role."""
    if request.endpoint == "web.static":
        return None  # the same for all users
    g.session_token = request.cookies.get(pages.cookie_name(), "")
    g.user = sessions.find(g.session_token) if g.session_token else None
    dashboard_limits.count(g.user)
    if request.method == "POST":
        _check_origin()
        if request.endpoint in pages.UPLOADS and g.user is not None:
            largest = settings.current().ingest_max_bytes
            request.max_content_length = settings.UPLOAD_FILES * largest
        _check_text()
    if request.endpoint in pages.PUBLIC:
        return None
    if g.user is None:
        return _sign_in_first()
    if request.method == "POST":
        return _check_form()
    return None


def _check_origin() -> None:
    """Refuse forms from other sites, by Sec-Fetch-Site or, in older browsers, by Origin.

    Origin is ``null`` on our own pages, which send no referrer, so it is only the fallback.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        is_ours = site in ("same-origin", "none")
    else:
        is_ours = origin is None or urlsplit(origin).netloc == request.host
    if not is_ours:
        abort(400, "The form was sent from another site. Open the page in mailwatch and try again.")


def _check_text() -> None:
    if any(_CONTROL.search(value) for values in request.form.listvalues() for value in values):
        abort(400, "Remove the special characters and try again.")


def _sign_in_first() -> ResponseReturnValue:
    """Redirect to the login page, which leads back to this page, or to the page of the form."""
    if request.method != "POST":
        return redirect(url_for("web.auth.login", next=request.full_path.rstrip("?")), 303)
    if request.endpoint == "web.auth.logout":
        return notices.redirect(url_for("web.auth.login"), "You are signed out.")
    refused = drafts.refused(request.form.get("csrf", ""))
    url = url_for("web.auth.login", next=refused.page if refused else None)
    message = f"{drafts.ENDED} Sign in to continue."
    if refused and refused.is_kept:
        message += f" {drafts.RESTORED} after that."
    return notices.refuse(url, message)


def _check_form() -> ResponseReturnValue | None:
    csrf = request.form.get("csrf", "")
    if not pages.is_csrf_token(csrf.partition(".")[0]):
        refused = drafts.refused(csrf)
        if refused is not None and refused.is_kept:
            return redirect(pages.safe_path(refused.page), 303)
        abort(400, "Your session changed. Reload the page and try again.")
    if not pages.can(request.endpoint or ""):
        user, target = pages.user_session(), (request.endpoint or "").removeprefix("web.")
        reason = f"the role {user.role} is not allowed to do this"
        refusals.note(
            Refusal(
                account_id=user.account_id,
                actor=user.actor,
                action="user.role_refused",
                target=target,
                reason=reason,
            )
        )
        abort(403, f"The role {user.role} can't change this. Ask an admin.")
    return None

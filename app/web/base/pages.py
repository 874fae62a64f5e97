"""What every page has in common: who may see it, its headers, its errors, and its way out."""

import functools
import hashlib
import hmac
import logging
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from flask import (
    Blueprint,
    Response,
    abort,
    g,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from app import keyring, settings
from app.db.cursors import Cursor
from app.errors import ApplicationError
from app.keyring import Purpose
from app.rate_limiter import RateLimitExceeded
from app.services.accounts import sessions
from app.services.accounts.sessions import UserSession
from app.services.core import refusals
from app.services.core.refusals import Refusal
from app.web.base import dashboard_limits, privacy

logger = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"

PUBLIC = frozenset(  # all else wants a session
    {
        "web.auth.login",
        "web.auth.code",
        "web.auth.invitation",
        "web.static",
        "web.recipients.confirm",
        "web.recipients.unsubscribe",
    }
)
# The least role for what changes something, by the longest beginning of the endpoint's name. What
# is not here changes nothing for anybody. Every role may look at every page.
ROLES = {
    "web.auth.logout": "viewer",
    "web.security": "viewer",
    "web.domains": "member",
    "web.domains.hold": "admin",
    "web.domains.release": "admin",
    "web.mail": "member",
    "web.alerts": "member",
    "web.intake": "member",
    "web.keys": "admin",
    "web.intake_settings": "admin",
    "web.upload_tokens": "admin",
    "web.channels": "admin",
    "web.team": "admin",
    "web.account": "owner",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
UPLOADS = frozenset({"web.intake.upload"})
_SAFE_PATH = re.compile(r"/(?![/\\])[\w\-./?=&%]*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_TITLES = {
    400: "That did not work",
    403: "You may not do that",
    404: "Not found",
    405: "Not here",
    413: "That is too much",
    429: "Too many requests",
    503: "Not now",
}


def require_session() -> ResponseReturnValue | None:
    """Let in who is signed in, and forms only from our own pages; anybody may come to sign in."""
    if request.endpoint == "web.static":
        return None  # the same for everybody
    g.session_token = request.cookies.get(cookie_name(), "")
    g.visitor = sessions.find(g.session_token) if g.session_token else None
    dashboard_limits.count(g.visitor)
    if request.method == "POST":
        _check_origin()
        if request.endpoint in UPLOADS and g.visitor is not None:
            largest = settings.current().ingest_max_bytes
            request.max_content_length = settings.UPLOAD_FILES * largest
        _check_text()
    if request.endpoint in PUBLIC:
        return None
    if g.visitor is None:
        wanted = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("web.auth.login", next=wanted), 303)
    if request.method == "POST":
        _check_form()
    return None


def user_session() -> UserSession:
    """Who looks at the page; only for views behind ``admit``."""
    found: UserSession = g.visitor
    return found


def render(template: str, code: int = 200, **values: Any) -> Response:
    """The page, with what the layout needs."""
    found = g.get("visitor")
    csrf = csrf_token(g.session_token) if found else ""
    page = render_template(
        template,
        visitor=found,
        csrf=csrf,
        may=can,
        asset=asset,
        sees_addresses=privacy.sees_addresses,
        **values,
    )
    return make_response(page, code)


def can(endpoint: str) -> bool:
    """Whether the visitor may do what this endpoint does: the one place that decides."""
    names = endpoint.split(".")
    for length in range(len(names), 1, -1):
        if role := ROLES.get(".".join(names[:length])):
            return g.get("visitor") is not None and user_session().is_at_least(role)
    return False


def asset(name: str) -> str:
    """The address of a file of ours: another one for other content, so that it may be kept."""
    return url_for("web.static", filename=name, v=_version(name))


def csrf_token(session_token: str) -> str:
    """What a form of this session must carry: worthless with any other session."""
    return _csrf_token(keyring.current(Purpose.CSRF), session_token)


def _csrf_token(key: bytes, session_token: str) -> str:
    return hmac.new(key, session_token.encode(), "sha256").hexdigest()


def cookie_name() -> str:
    """``__Host-session``; the plain name only where a browser is on this very machine."""
    return "session" if is_local() else "__Host-session"


def is_local() -> bool:
    """The request came without TLS, to a name of the machine itself."""
    host = urlsplit(request.host_url).hostname
    return not request.is_secure and host in ("localhost", "127.0.0.1")


def safe_path(text: str) -> str:
    """``text`` if it is a path of ours and nothing else; the first page otherwise."""
    plain = unquote(text)
    is_safe = all(
        _SAFE_PATH.fullmatch(form) and "//" not in form and ".." not in form
        for form in (text, plain)
    )
    return text if is_safe else url_for("web.overview.index")


class Paging:
    """The places in this list of this account, with these filters.

    given  where this page of it starts; None: at the beginning
    """

    def __init__(self, filters: Mapping[str, Any]) -> None:
        account = str(user_session().account_id)
        binding = {"account": account, "route": f"web:{request.path}", "filters": dict(filters)}
        self._cursor = Cursor(keyring.usable(Purpose.CURSORS), binding)
        text = request.args.get("cursor")
        self.given = self._cursor.decode(text) if text else None

    def following(self, place: Sequence[Any] | None) -> str | None:
        """The word for the page that starts there; None if there is no such page."""
        return self._cursor.encode(place) if place else None


def too_many(wait: int) -> str:
    """What a person reads who has to wait for so many seconds."""
    minutes = math.ceil(wait / 60)
    span = f"{minutes} minutes" if minutes > 1 else "a minute" if wait > 30 else f"{wait} seconds"
    return f"Too many attempts. Try again in {span}."


def field_errors(error: ApplicationError, otherwise: str = "name") -> dict[str, str]:
    """What is wrong, by the field of the form; ``otherwise`` has what is about no field."""
    details = error.extra.get("details") or [{"field": otherwise, "message": error.message}]
    return {detail["field"]: detail["message"] for detail in reversed(details)}


def handle_errors(blueprint: Blueprint) -> None:
    """Errors of pages are pages."""
    blueprint.register_error_handler(ApplicationError, _application_error)
    blueprint.register_error_handler(HTTPException, _http_error)
    blueprint.register_error_handler(Exception, _unhandled)


def set_security_headers(response: Response) -> Response:
    """The headers of every page; and a page for a browser at an address that is none."""
    is_ours = (request.blueprint or "").partition(".")[0] == "web"
    if request.url_rule is None and response.status_code in (404, 405) and _wants_page():
        error = _error_page(response.status_code, "There is no such page.")
        response.set_data(error.get_data())
        response.content_type = error.content_type
        is_ours = True
    if is_ours:
        response.headers.update(HEADERS)
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        is_versioned = request.endpoint == "web.static" and "v" in request.args
        if is_versioned and response.status_code == 200:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        elif request.endpoint != "web.static":
            response.headers["Cache-Control"] = "no-store"
    return response


@functools.cache
def _version(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def _check_origin() -> None:
    """A browser says where a form comes from: by Sec-Fetch-Site, an older one by Origin.

    Origin is ``null`` on our own pages, which send no referrer, so it is only asked second.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        is_ours = site in ("same-origin", "none")
    else:
        is_ours = origin is None or urlsplit(origin).netloc == request.host
    if not is_ours:
        abort(400, "The form was sent from another site.")


def _check_text() -> None:
    if any(_CONTROL.search(value) for values in request.form.listvalues() for value in values):
        abort(400, "The form has characters that are no text.")


def _check_form() -> None:
    given = request.form.get("csrf", "")
    valid = [_csrf_token(key, g.session_token) for key in keyring.usable(Purpose.CSRF)]
    if not any(hmac.compare_digest(given.encode(), token.encode()) for token in valid):
        abort(400, "The form is not of this session. Load the page again, and repeat it there.")
    if not can(request.endpoint or ""):
        person, target = user_session(), (request.endpoint or "").removeprefix("web.")
        reason = f"the role {person.role} may not do this"
        refusals.note(Refusal(person.account_id, person.actor, "user.role_refused", target, reason))
        abort(403, f"Your role is {user_session().role}, which may look at this and not change it.")


def _wants_page() -> bool:
    path, accepted = request.path, request.accept_mimetypes
    return path != "/v1" and not path.startswith("/v1/") and "text/html" in accepted.values()


def _error_page(status: int, message: str) -> Response:
    title = _TITLES.get(status, "Something went wrong")
    return render("error.html", status, title=title, message=message, status=status)


def _application_error(error: ApplicationError) -> Response:
    message = "There is no such page." if error.status == 404 else error.message
    if error.status == 429:
        g.retry_after = error.extra["retryAfter"]
    if isinstance(error, RateLimitExceeded):
        wait = error.extra["retryAfter"]
        message = f"You are sending requests faster than we allow. Try again in {wait} seconds."
    return _error_page(error.status, message)


def _http_error(error: HTTPException) -> Response:
    if error.code is not None and error.code < 400:
        return Response(status=error.code, headers=error.get_headers())
    message = "There is no such page." if error.code == 404 else error.description or error.name
    return _error_page(error.code or 500, message)


def _unhandled(error: Exception) -> Response:
    logger.error("a page failed", exc_info=error)
    return _error_page(500, "Something went wrong on our side. It is noted in the log.")

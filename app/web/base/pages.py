"""Shared parts of all pages: roles, headers, CSRF values, pagination and error pages."""

import functools
import hashlib
import hmac
import logging
import math
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from flask import Blueprint, Response, g, make_response, render_template, request, url_for
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from app import keyring, settings
from app.db.cursors import Cursor
from app.errors import ApplicationError
from app.keyring import Purpose
from app.limits.rate_limiter import RateLimitExceeded
from app.protocols.quantities import quantity
from app.services.sign_in.sessions import UserSession
from app.web.access import drafts, tickets
from app.web.access.tickets import Ticket
from app.web.base import dates, filters, privacy, query

logger = logging.getLogger(__name__)

STATIC = Path(__file__).parents[1] / "static"

PUBLIC = frozenset(  # all others require a session
    {
        "web.auth.login",
        "web.auth.code",
        "web.auth.invitation",
        "web.passwords.lost",
        "web.passwords.reset",
        "web.static",
        "web.recipients.confirm",
        "web.recipients.unsubscribe",
        "web.shared.show",
    }
)
# The minimum role for each form, by the longest matching prefix of the endpoint's name. A form
# that is not listed is refused for every role. Every role may view every page.
ROLES = {
    "web.auth.logout": "viewer",
    "web.security": "viewer",
    "web.overview": "viewer",
    "web.domains": "member",
    "web.domain_bulk": "member",
    "web.domain_bulk.save_view": "viewer",
    "web.domain_bulk.delete_view": "viewer",
    "web.domains.hold": "admin",
    "web.domains.release": "admin",
    "web.mail": "member",
    "web.shares": "member",
    "web.plans": "viewer",
    "web.alerts": "member",
    "web.undo": "viewer",  # of the own settings; undo checks the rest
    "web.files": "member",
    "web.keys": "admin",
    "web.reporting": "admin",
    "web.upload_tokens": "admin",
    "web.channels": "admin",
    "web.weekly": "admin",
    "web.mailboxes": "admin",
    "web.sinks": "admin",
    "web.team": "admin",
    "web.followed_profiles": "admin",
    "web.account": "owner",
    "web.account.set_time_zone": "viewer",
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
UPLOADS = frozenset({"web.files.upload"})
_SAFE_PATH = re.compile(r"/(?![/\\])[\w\-./?=&%*,:@ ]*", re.ASCII)
NOT_FOUND = "This page doesn't exist, or it isn't in this account. Check the address."
_TITLES = {
    400: "We couldn't do that",
    403: "You don't have permission",
    404: "Page not found",
    405: "Page not available",
    409: "We couldn't do that",
    413: "Upload too large",
    429: "Too many requests",
    503: "Temporarily unavailable",
}


def user_session() -> UserSession:
    """Return the session's user; only for views that require a session."""
    current: UserSession = g.user
    return current


def render(template: str, code: int = 200, **values: Any) -> Response:
    """Return the rendered page, with the values that the layout needs."""
    message, draft = drafts.take()
    page = render_template(
        template,
        user=g.get("user"),
        csrf=_csrf(),
        draft_message=message,
        submission=secrets.token_hex(16),
        rejected_filters=query.rejected(),
        may=can,
        reader_zone=dates.reader_zone().key,
        asset=asset,
        sees_addresses=privacy.sees_addresses,
        **values,
    )
    return make_response(drafts.fill(page, draft) if draft else page, code)


def can(endpoint: str) -> bool:
    """Whether the user's role allows this endpoint; the only place that decides."""
    names = endpoint.split(".")
    for length in range(len(names), 1, -1):
        if role := ROLES.get(".".join(names[:length])):
            return g.get("user") is not None and user_session().is_at_least(role)
    return False


def asset(name: str) -> str:
    """Return the URL of a static file, which changes with its content for caching."""
    return url_for("web.static", filename=name, v=_version(name))


def _csrf() -> str:
    """Return the CSRF value of the forms of this page: the session's token, and a ticket.

    A page that shows an error of a form keeps the ticket of the page that the form was on.
    """
    user: UserSession | None = g.get("user")
    if user is None:
        return ""
    shown = None
    if request.method == "POST":
        with suppress(RequestEntityTooLarge):  # such a form cannot be read
            shown = tickets.read(request.form.get("csrf", "").partition(".")[2])
    page = shown.page if shown else request.full_path.rstrip("?")
    token = _csrf_token(keyring.current(Purpose.CSRF), g.session_token)
    return f"{token}.{tickets.issue(Ticket(user.user_id, page))}"


def is_csrf_token(token: str) -> bool:
    """Whether this is the CSRF token of the session of this request."""
    valid = [_csrf_token(key, g.session_token) for key in keyring.usable(Purpose.CSRF)]
    return any(hmac.compare_digest(token.encode(), item.encode()) for item in valid)


def _csrf_token(key: bytes, session_token: str) -> str:
    return hmac.new(key, session_token.encode(), "sha256").hexdigest()


def cookie_name() -> str:
    """``__Host-session``; without the prefix only for a browser on this machine."""
    return "session" if is_local() else "__Host-session"


def is_local() -> bool:
    """Whether the request came without TLS from a browser on this machine."""
    host = urlsplit(request.host_url).hostname
    return not request.is_secure and host in ("localhost", "127.0.0.1")


def safe_path(text: str) -> str:
    """``text`` if it is a path of this site and nothing else; the overview page otherwise."""
    plain = unquote(text)
    is_safe = all(
        _SAFE_PATH.fullmatch(form) and "//" not in form and ".." not in form
        for form in (text, plain)
    )
    return text if is_safe else url_for("web.overview.index")


class Paging:
    """Cursors of a list, bound to the account, the route and the filters.

    cursor_values  the values that the page starts after; None: at the beginning
    """

    def __init__(self, filters: Mapping[str, Any]) -> None:
        account = str(user_session().account_id)
        binding = {"account": account, "route": f"web:{request.path}", "filters": dict(filters)}
        self._cursor = Cursor(keyring.usable(Purpose.CURSORS), binding)
        text = request.args.get("cursor")
        self.cursor_values = self._cursor.decode(text) if text else None

    def following(self, cursor_values: Sequence[Any] | None) -> str | None:
        """Return the cursor of the next page; None if this is the last one."""
        return self._cursor.encode(cursor_values) if cursor_values else None


def too_many(wait: int) -> str:
    """Return the message for a user who has to wait this many seconds."""
    minutes = math.ceil(wait / 60)
    span = quantity(wait, "second") if wait <= 30 else quantity(minutes, "minute")
    return f"Too many attempts. Try again in {span}."


def field_errors(error: ApplicationError, otherwise: str = "name") -> dict[str, str]:
    """Return the messages by field; ``otherwise`` is the field of a general error."""
    details = error.extra.get("details") or [{"field": otherwise, "message": error.message}]
    return {detail["field"]: detail["message"] for detail in reversed(details)}


def handle_errors(blueprint: Blueprint) -> None:
    """Show errors of pages as pages."""
    blueprint.register_error_handler(ApplicationError, _application_error)
    blueprint.register_error_handler(HTTPException, _http_error)
    blueprint.register_error_handler(Exception, _unhandled)


def set_security_headers(response: Response) -> Response:
    """Set the headers of every page, and show a page for an unknown URL in a browser."""
    is_ours = (request.blueprint or "").partition(".")[0] == "web"
    if request.url_rule is None and response.status_code in (404, 405) and _wants_page():
        error = _error_page(response.status_code, NOT_FOUND)
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


def _wants_page() -> bool:
    path, accepted = request.path, request.accept_mimetypes
    return path != "/v1" and not path.startswith("/v1/") and "text/html" in accepted.values()


def _error_page(status: int, message: str) -> Response:
    title = _TITLES.get(status, "Something went wrong")
    return render("error.html", status, title=title, message=message, status=status)


def _application_error(error: ApplicationError) -> Response:
    message = NOT_FOUND if error.status == 404 else error.message
    if error.status == 429:
        g.retry_after = error.extra["retryAfter"]
    if isinstance(error, RateLimitExceeded):
        wait = error.extra["retryAfter"]
        message = f"You sent too many requests. Try again in {quantity(wait, 'second')}."
    return _error_page(error.status, message)


def _http_error(error: HTTPException) -> Response:
    if error.code is not None and error.code < 400:
        return Response(status=error.code, headers=error.get_headers())
    message = _message(error)
    return _error_page(error.code or 500, message)


def _message(error: HTTPException) -> str:
    if error.code == 404:
        return NOT_FOUND
    if error.code == 405:
        return "This page can't be opened this way. Go back and use the form."
    if error.description == RequestEntityTooLarge.description:
        most = filters.file_size(settings.UPLOAD_FILES * settings.current().ingest_max_bytes)
        return f"One upload can have up to {most}. Upload fewer files at once."
    return error.description or error.name


def _unhandled(error: Exception) -> Response:
    logger.error("unhandled exception in request", exc_info=error)
    return _error_page(500, "The error was logged. Try again; if it persists, ask an operator.")

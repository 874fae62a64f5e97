"""Notices: what a form has changed, shown once on the page that the form redirects to.

1. A view answers a form with ``redirect``, which puts the notice into a signed cookie.
2. The next page shows the notice, and deletes the cookie.
3. A change that can be undone is stored for ten minutes as a result of the form; the notice has a
   button for it, see ``app.web.views.undo``.
"""

import base64
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import werkzeug.utils
from flask import Blueprint, Response, g, request
from werkzeug.wrappers import Response as BaseResponse

from app import keyring
from app.keyring import Purpose
from app.services.sign_in import form_results
from app.web.base import pages

MAX_MESSAGE = 500
LIFETIME_SECONDS = 60
UNDO = "undo"  # the kind of form results that can be undone


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice.

    undo        the id of the stored change; empty if it cannot be undone
    is_refused  nothing was changed
    """

    message: str
    undo: str = ""
    is_refused: bool = False


def redirect(url: str, message: str, *, undo: Mapping[str, Any] | None = None) -> BaseResponse:
    """Redirect to a page that says what was changed.

    undo  the values from which the change can be undone, with their ``kind``
    """
    return add(_to(url), Notice(message[:MAX_MESSAGE], _store(undo) if undo else ""))


def refuse(url: str, message: str) -> BaseResponse:
    """Redirect to a page that says why nothing was changed."""
    return add(_to(url), Notice(message[:MAX_MESSAGE], is_refused=True))


def is_confirmed(name: str) -> bool:
    """Whether the user has entered the name of what the form deletes."""
    entered = request.form.get("confirm", "").strip()
    return entered.casefold() == name.strip().casefold()


def add(response: BaseResponse, notice: Notice) -> BaseResponse:
    """Return the response, with the notice for the next page."""
    payload = base64.urlsafe_b64encode(orjson.dumps(notice)).decode()
    response.set_cookie(
        _cookie_name(),
        f"{payload}.{_signature(keyring.current(Purpose.CSRF), payload)}",
        max_age=LIFETIME_SECONDS,
        secure=not pages.is_local(),
        httponly=True,
        samesite="Lax",
        path="/",
    )
    return response


def add_to(blueprint: Blueprint) -> None:
    """Make the notice available to the layout of all pages."""
    blueprint.app_context_processor(lambda: {"take_notice": take})
    blueprint.after_app_request(_forget)


def take() -> Notice | None:
    """Return the notice for this page, if there is one; it is shown once.

    Requests of scripts, as those that follow the redirect of an upload, show no page to a reader.
    """
    if request.headers.get("Sec-Fetch-Dest") == "empty":
        return None
    payload, _, signature = request.cookies.get(_cookie_name(), "").rpartition(".")
    expected = [_signature(key, payload) for key in keyring.usable(Purpose.CSRF)]
    if not any(hmac.compare_digest(signature.encode(), item.encode()) for item in expected):
        return None
    g.is_notice_shown = True
    return Notice(**orjson.loads(base64.urlsafe_b64decode(payload)))


def _to(url: str) -> BaseResponse:
    return werkzeug.utils.redirect(url, 303)


def _store(values: Mapping[str, Any]) -> str:
    id = secrets.token_hex(32)
    form_results.begin(g.session_token, id, UNDO)
    form_results.finish(g.session_token, id, values)
    return id


def _forget(response: Response) -> Response:
    if g.get("is_notice_shown"):
        response.delete_cookie(
            _cookie_name(), secure=not pages.is_local(), httponly=True, samesite="Lax"
        )
    return response


def _signature(key: bytes, payload: str) -> str:
    return hmac.new(key, f"notice:{payload}".encode(), "sha256").hexdigest()


def _cookie_name() -> str:
    return "notice" if pages.is_local() else "__Host-notice"

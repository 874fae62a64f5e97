"""Forms with a result that the next page shows: processed once, and answered with a redirect."""

import hmac
import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import orjson
from flask import g, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app import keyring
from app.keyring import Purpose
from app.services.sign_in import form_results
from app.web.base import notices


def process(kind: str, action: Callable[[], Mapping[str, Any]]) -> ResponseReturnValue:
    """Run the action once for this form, and redirect to the page that shows its result.

    kind     selects the page; see ``app.web.views.people.results``
    action   returns the values of the page with the ``notice`` that it shows, and ``location`` to
             redirect to another page
    effects  a form that is submitted again, as by a double click, gets the same redirect
    """
    id = _id()
    if form_results.begin(g.session_token, id, kind):
        with ExitStack() as stack:
            stack.callback(form_results.abandon, g.session_token, id)
            values = action()
            stack.pop_all()  # the action was not refused
        form_results.finish(g.session_token, id, values)
        if "location" in values:
            return notices.redirect(values["location"], values["notice"])
    return redirect(url_for("web.results.show", id=id), 303)


def _id() -> str:
    """Return the same id for the same form with the same values; a form without nonce is unique."""
    nonce = request.form.get("submission") or secrets.token_hex(16)
    values = sorted((name, value) for name, value in request.form.items(multi=True))
    text = orjson.dumps([request.path, nonce, values])
    return hmac.new(keyring.current(Purpose.CSRF), text, "sha256").hexdigest()

"""The pages and files that document the API."""

import functools

import orjson
from flask import Blueprint, Response, current_app, render_template

from app import settings
from app.api.docs import components, reference, runbooks
from app.api.docs.openapi import document
from app.api.http.endpoint import endpoint

bp = Blueprint(
    "docs",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/docs/static",  # the plain /static is the application's
)

_HTML = "text/html"
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


@bp.get("/openapi.json")
@endpoint(is_public=True, returns_file=True, media_type="application/json")
def openapi() -> Response:
    """Get the OpenAPI document."""
    return Response(orjson.dumps(document(current_app)), content_type="application/json")


@bp.get("/docs")
@endpoint(is_public=True, returns_file=True, media_type=_HTML)
def read() -> Response:
    """Read the API reference."""
    spec, base = document(current_app), settings.current().base_url
    groups = reference.groups(spec, base)
    errors = components.ERRORS
    return _html(
        render_template("docs.html", document=spec, base=base, groups=groups, errors=errors)
    )


@bp.get("/docs/alerts")
@endpoint(is_public=True, returns_file=True, media_type=_HTML)
def alerts() -> Response:
    """Read the meaning and remediation of every alert type."""
    return _html(_runbooks())


@functools.cache
def _runbooks() -> str:
    return render_template("runbooks.html", runbooks=list(runbooks.runbooks()))


def _html(text: str) -> Response:
    response = Response(text, content_type=f"{_HTML}; charset=utf-8")
    response.headers["Content-Security-Policy"] = _POLICY
    return response

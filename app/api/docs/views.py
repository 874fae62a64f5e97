"""The pages and files that document the API."""

import functools
import json

import orjson
from flask import Blueprint, Response, current_app, render_template

from app import settings
from app.api.docs import components, discovery, reference, runbooks, verification
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
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_LINKSET = "application/linkset+json"


@bp.get("/openapi.json")
@endpoint(is_public=True, returns_file=True, media_type="application/json")
def openapi() -> Response:
    """Get the OpenAPI document."""
    return Response(orjson.dumps(document(current_app)), content_type="application/json")


@bp.get("/docs")
@endpoint(is_public=True, returns_file=True, media_type=_HTML)
def read() -> Response:
    """Read the API reference."""
    return _html(_reference(settings.current().base_url))


@functools.cache
def _reference(base: str) -> str:
    spec = document(current_app)
    example = spec["webhooks"]["alert.opened"]["post"]["requestBody"]["content"]
    return render_template(
        "docs.html",
        document=spec,
        base=base,
        groups=reference.groups(spec, base),
        errors={status: text for status, text in components.ERRORS.items() if status >= 400},
        event=json.dumps(example["application/json"]["example"], ensure_ascii=False, indent=2),
        verification=verification.SAMPLES,
    )


@bp.get("/docs/alerts")
@endpoint(is_public=True, returns_file=True, media_type=_HTML)
def alerts() -> Response:
    """Read the meaning and remediation of every alert type."""
    return _html(_runbooks())


@functools.cache
def _runbooks() -> str:
    return render_template("runbooks.html", runbooks=list(runbooks.runbooks()))


@bp.get("/llms.txt")
@endpoint(is_public=True, returns_file=True, media_type="text/plain")
def llms() -> Response:
    """Get an overview of the API for language models."""
    text = discovery.overview(document(current_app), settings.current().base_url)
    return Response(text, content_type="text/plain; charset=utf-8")


@bp.get("/.well-known/api-catalog")
@endpoint(is_public=True, returns_file=True, media_type=_LINKSET)
def api_catalog() -> Response:
    """Get the links to the API and its documentation (RFC 9727)."""
    base = settings.current().base_url
    profile = "https://www.rfc-editor.org/info/rfc9727"
    response = Response(orjson.dumps(discovery.catalog(base)))
    response.headers["Content-Type"] = f'{_LINKSET}; profile="{profile}"'
    response.headers["Link"] = f'<{base}/.well-known/api-catalog>; rel="api-catalog"'
    return response


def _html(text: str) -> Response:
    response = Response(text, content_type=f"{_HTML}; charset=utf-8")
    response.headers["Content-Security-Policy"] = _POLICY
    return response

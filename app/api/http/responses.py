"""Successful responses: one item, a page of a list, a file, or nothing."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import orjson
from flask import Response, g, request

from app import keyring, settings
from app.api.http import auth
from app.api.http.compression import GZIP_SUFFIX
from app.api.http.endpoint import JSON, Query
from app.db.cursors import Cursor
from app.db.text import dump_json
from app.errors import PreconditionFailed
from app.keyring import Purpose
from app.protocols import timestamps


def time(at: datetime | None) -> str | None:
    """Return the time as RFC 3339 in UTC, with ``Z``."""
    return timestamps.text(at) if at else None


def item(
    data: Mapping[str, Any],
    status: int = 200,
    *,
    location: str | None = None,
    version: datetime | None = None,
) -> Response:
    """Return ``{"data": …}`` with an ETag, or 304 if If-None-Match has it.

    version  the time of the last change; ``expected_version`` reads it from If-Match
    """
    body = dump_json({"data": data})
    response = Response(body, status, content_type=JSON)
    if location is not None:
        response.headers["Location"] = location
    digest = hashlib.sha256(body).hexdigest()[:16]
    stamp = f"{_microseconds(version)}-" if version else ""
    etag = f"{stamp}{digest}"
    if request.method == "GET" and "If-None-Match" in request.headers:
        for tag in (etag, etag + GZIP_SUFFIX):
            if request.if_none_match.contains_weak(tag):
                return _not_modified(tag)
    response.headers.add("ETag", f'"{etag}"')
    return response


def _not_modified(etag: str) -> Response:
    response = Response(status=304)
    del response.headers["Content-Type"]
    response.headers["ETag"] = f'"{etag}"'
    response.headers["Vary"] = "Accept-Encoding"
    return response


def expected_version() -> datetime | None:
    """Return the version in If-Match; None without one.

    raises  PreconditionFailed for an invalid ETag
    """
    etag = request.headers.get("If-Match", "").strip()
    if etag in ("", "*"):
        return None
    stamp = etag.strip('"').partition("-")[0]
    if not stamp.isdigit() or len(stamp) > 18:
        raise PreconditionFailed(
            "If-Match is not an ETag of this resource. Use the ETag header of a response"
        )
    return datetime.fromtimestamp(int(stamp) / 1_000_000, UTC)


def page(
    data: Sequence[Mapping[str, Any] | orjson.Fragment],
    query: Query,
    next_values: Sequence[Any] | None,
) -> Response:
    """Return ``{"data": […], "meta": {"pagination": …}}``, with the next page's URL in ``Link``.

    next_values  the cursor values of the next page; None if this is the last one
    """
    following = cursor(query).encode(next_values) if next_values is not None else None
    pagination = {
        "limit": getattr(query, "limit", len(data)),
        "hasMore": following is not None,
        "nextCursor": following,
    }
    body = dump_json({"data": data, "meta": {"pagination": pagination}})
    response = Response(body, content_type=JSON)
    if following is not None:
        parameters = {**request.args.to_dict(), "cursor": following}
        url = f"{settings.current().base_url}{request.path}?{urlencode(parameters)}"
        response.headers["Link"] = f'<{url}>; rel="next"'
    return response


def attachment(content: bytes) -> Response:
    """Return the content as a download that browsers never display."""
    response = Response(content, content_type="application/octet-stream")
    response.headers["Content-Disposition"] = 'attachment; filename="report.bin"'
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


def no_content() -> Response:
    """Return an empty response with status 204."""
    return Response(status=204)


def cursor_values(query: Query) -> list[Any] | None:
    """Return the values of the query's cursor; None without one.

    raises  InvalidRequest for a cursor of another list
    """
    text: str | None = getattr(query, "cursor", None)
    return cursor(query).decode(text) if text else None


def cursor(query: Query) -> Cursor:
    """Return the cursor type of this list, bound to the account, the route and the filters.

    ``g.list_path`` is the path of the list if the request has another one.
    """
    filters = query.model_dump(mode="json", exclude={"cursor", "limit"})
    binding = {
        "account": str(auth.current().account_id),
        "route": g.get("list_path", request.path),
        "filters": filters,
    }
    return Cursor(keyring.usable(Purpose.CURSORS), binding)


def _microseconds(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)

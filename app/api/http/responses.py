"""How things are put on the wire: one, or a page of many."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import orjson
from flask import Response, request

from app import keyring, settings
from app.api.http import auth
from app.api.http.endpoint import Query
from app.db.cursors import Cursor
from app.errors import PreconditionFailed
from app.keyring import Purpose
from app.protocols import timestamps

JSON = "application/json"


def time(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC, with ``Z``."""
    return timestamps.text(moment) if moment else None


def item(
    data: Mapping[str, Any],
    status: int = 200,
    *,
    location: str | None = None,
    version: datetime | None = None,
) -> Response:
    """``{"data": …}``; a GET has an ETag, and is 304 for who has it already.

    version  when the thing was last changed; ``expected_version`` reads it from If-Match
    """
    body = orjson.dumps({"data": data})
    response = Response(body, status, content_type=JSON)
    if location is not None:
        response.headers["Location"] = location
    digest = hashlib.sha256(body).hexdigest()[:16]
    stamp = f"{_microseconds(version)}-" if version else ""
    response.headers.add("ETag", f'"{stamp}{digest}"')
    if request.method == "GET" and "If-None-Match" in request.headers:
        response.make_conditional(request)
    return response


def expected_version() -> datetime | None:
    """What If-Match says that the thing looked like; None if the caller does not mind.

    raises  PreconditionFailed for what is no ETag of ours
    """
    given = request.headers.get("If-Match", "").strip()
    if given in ("", "*"):
        return None
    stamp = given.strip('"').partition("-")[0]
    if not stamp.isdigit() or len(stamp) > 18:
        raise PreconditionFailed("If-Match is not an ETag of this resource")
    return datetime.fromtimestamp(int(stamp) / 1_000_000, UTC)


def page(
    data: Sequence[Mapping[str, Any] | orjson.Fragment], query: Query, place: Sequence[Any] | None
) -> Response:
    """``{"data": […], "meta": {"pagination": …}}``, with the next page's address in ``Link``.

    place  where the next page starts; None if there is none
    """
    following = cursor(query).encode(place) if place is not None else None
    pagination = {
        "limit": getattr(query, "limit", len(data)),
        "hasMore": following is not None,
        "nextCursor": following,
    }
    body = orjson.dumps({"data": data, "meta": {"pagination": pagination}})
    response = Response(body, content_type=JSON)
    if following is not None:
        parameters = {**request.args.to_dict(), "cursor": following}
        address = f"{settings.current().base_url}{request.path}?{urlencode(parameters)}"
        response.headers["Link"] = f'<{address}>; rel="next"'
    return response


def attachment(content: bytes) -> Response:
    """Bytes from strangers, to be saved and never shown."""
    response = Response(content, content_type="application/octet-stream")
    response.headers["Content-Disposition"] = 'attachment; filename="report.bin"'
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


def no_content() -> Response:
    """204."""
    return Response(status=204)


def cursor_values(query: Query) -> list[Any] | None:
    """Where the page begins that the query's cursor asks for.

    raises  InvalidRequest for a cursor of another list
    """
    text: str | None = getattr(query, "cursor", None)
    return cursor(query).decode(text) if text else None


def cursor(query: Query) -> Cursor:
    """The cursors of this list: this account's, this route's, with these filters."""
    filters = query.model_dump(mode="json", exclude={"cursor", "limit"})
    binding = {
        "account": str(auth.current().account_id),
        "route": request.path,
        "filters": filters,
    }
    return Cursor(keyring.usable(Purpose.CURSORS), binding)


def _microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)

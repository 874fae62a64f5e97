"""The stream of all records of an account, in the order in which they were stored."""

from collections.abc import Collection
from typing import Annotated

from flask import Blueprint, Response
from pydantic import Field

from app.api.http import fields, slots
from app.api.http.auth import current
from app.api.http.endpoint import Query, endpoint
from app.errors import Forbidden, InvalidRequest
from app.models.keys import Scope
from app.services.forwarding import kinds, record_exports
from app.services.forwarding.record_exports import RecordQuery
from app.services.reports import exports

bp = Blueprint("record_stream", __name__, url_prefix="/records")

MAX_RECORDS = 10_000
_SCOPES = {
    **dict.fromkeys(kinds.NAMES, Scope.REPORTS_READ),
    "scan": Scope.DOMAINS_READ,
    "finding": Scope.DOMAINS_READ,
    "alert": Scope.ALERTS_READ,
}


class RecordStreamQuery(Query):
    """The position in the stream."""

    since: fields.Text | None = Field(default=None, description="the cursor of the last record")
    kind: fields.Text | None = Field(default=None, description="kinds, separated by commas")
    limit: Annotated[int, Field(ge=1, le=MAX_RECORDS)] = MAX_RECORDS


@bp.get("")
@endpoint(
    scopes=(Scope.REPORTS_READ, Scope.DOMAINS_READ, Scope.ALERTS_READ),
    query=RecordStreamQuery,
    returns_file=True,
    media_type=exports.TYPES["ndjson"],
)
def index(query: RecordStreamQuery) -> Response:
    """Export records in the order in which they were stored."""
    caller = current()
    requested = RecordQuery(since=query.since, names=_names(query.kind), limit=query.limit)
    body = slots.all_slots().stream(
        slots.export(),
        lambda: record_exports.lines(caller.account_id, requested, actor=caller.actor),
    )
    return Response(body, content_type=exports.TYPES["ndjson"])


def _names(text: str | None) -> Collection[str]:
    """Return the kinds of a parameter; without one, all that the key may read.

    raises  InvalidRequest for an unknown kind; Forbidden for one that the key may not read
    """
    scopes = current().scopes
    if text is None:
        return [name for name in kinds.NAMES if _SCOPES[name] in scopes]
    names = text.split(",")
    for name in names:
        if name not in kinds.NAMES:
            raise InvalidRequest.field("kind", f"choose from: {', '.join(kinds.NAMES)}")
        if _SCOPES[name] not in scopes:
            raise Forbidden(_SCOPES[name])
    return names

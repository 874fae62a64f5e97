"""The event feed: the events that webhooks receive, in order."""

from typing import Annotated

from flask import Blueprint, Response
from pydantic import Field

from app.api.http import fields, responses
from app.api.http.auth import current
from app.api.http.endpoint import endpoint
from app.api.v1.events import schemas
from app.models.keys import Scope
from app.services.notifications import feed, outbox

bp = Blueprint("events", __name__, url_prefix="/events")


class EventQuery(fields.Listing):
    """The position in the feed."""

    since: Annotated[int, Field(ge=0, le=2**62)] = 0


@bp.get("")
@endpoint(scopes=(Scope.ALERTS_READ,), query=EventQuery, returns=schemas.Event, is_list=True)
def index(query: EventQuery) -> Response:
    """List events after a sequence number."""
    rows, next_values = feed.read(
        current().account_id,
        query.since,
        cursor_values=responses.cursor_values(query),
        limit=query.limit,
    )
    return responses.page([outbox.as_json(row) for row in rows], query, next_values)

"""The event feed: the events that webhooks receive, in order."""

from typing import Annotated

from flask import Blueprint, Response
from pydantic import Field

from app.api.http.auth import current
from app.api.http.endpoint import endpoint
from app.api.v1 import exports
from app.api.v1.events import schemas
from app.api.v1.exports import Exportable, Table
from app.models.keys import Scope
from app.services.notifications import feed, outbox

bp = Blueprint("events", __name__, url_prefix="/events")


class EventQuery(Exportable):
    """The position in the feed."""

    since: Annotated[int, Field(ge=0, le=2**62)] = 0


@bp.get("")
@endpoint(
    scopes=(Scope.ALERTS_READ,), query=EventQuery, returns=schemas.Event, is_list=True, exports=True
)
def index(query: EventQuery) -> Response:
    """List events after a sequence number."""
    listing = feed.listing(current().account_id, query.since)
    return exports.answer(listing, query, Table("events", schemas.EventRow, outbox.as_json))

"""The feed of events: what webhooks are told, in order and to be read again."""

from typing import Annotated

from flask import Blueprint, Response
from pydantic import Field

from app.api import alert_shapes, answers, inputs
from app.api.auth import current
from app.api.contract import endpoint
from app.models.keys import Scope
from app.services import events, feed

bp = Blueprint("events", __name__, url_prefix="/events")


class EventQuery(inputs.Listing):
    """From where on."""

    since: Annotated[int, Field(ge=0, le=2**62)] = 0


@bp.get("")
@endpoint(scopes=(Scope.ALERTS_READ,), query=EventQuery, returns=alert_shapes.Event, is_list=True)
def index(query: EventQuery) -> Response:
    """What happened behind the sequence number ``since``, oldest first."""
    rows, place = feed.read(
        current().account_id, query.since, place=answers.place(query), limit=query.limit
    )
    return answers.many([events.as_json(row) for row in rows], query, place)

"""Sinks to receivers on loopback."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import update

from app.db import transactions
from app.db.transactions import transaction
from app.models import RecordSink
from app.services.forwarding import sinks
from app.services.forwarding.sinks import NewSink
from app.sinks.registry import SINK_TYPES
from tests.support.factories import ACTOR


def new_sink(type: str, options: Mapping[str, str], **fields: Any) -> NewSink:
    """Return a sink that gets all stored records."""
    fields = {"name": type, "is_complete": True, **fields}
    return NewSink(config=SINK_TYPES[type].parsed(options), **fields)


def add_sink(account_id: UUID, type: str, options: Mapping[str, str], **fields: Any) -> UUID:
    """Add a sink that gets all stored records, and return its id."""
    return sinks.add(account_id, new_sink(type, options, **fields), actor=ACTOR)[0].id


def is_due_now(sink_id: UUID) -> None:
    """End the time that a failing sink waits."""
    with transaction() as session:
        now = transactions.now(session)
        session.execute(update(RecordSink).where(RecordSink.id == sink_id).values(next_at=now))

"""The stream of records as JSON lines."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from uuid import UUID

from app.services.audit import audit_log
from app.services.forwarding import stream
from app.services.forwarding.stream import Position
from app.services.reports import exports

BATCH_SIZE = 500


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """The records to export.

    since  the cursor of the last record that the reader has; None for the start
    names  the kinds of records
    limit  the maximum number of records
    """

    since: str | None
    names: Collection[str]
    limit: int


def lines(account_id: UUID, query: RecordQuery, *, actor: str) -> Iterator[bytes]:
    """Return the records as JSON lines, which are read while they are iterated.

    raises   InvalidRequest immediately for an invalid cursor
    effects  an entry in the audit log
    """
    position = stream.parse_cursor(query.since)
    audit_log.record_read(
        account_id,
        actor=actor,
        action="export.created",
        target="records.ndjson",
        filters={"since": position.text(), "kind": list(query.names), "limit": query.limit},
    )
    return _lines(account_id, query, position)


def _lines(account_id: UUID, query: RecordQuery, position: Position) -> Iterator[bytes]:
    has_more, remaining = True, query.limit
    while has_more and remaining:
        batch = stream.read(account_id, position, query.names, min(remaining, BATCH_SIZE))
        position, has_more = batch.position, batch.has_more
        remaining -= len(batch.records)
        yield b"".join(exports.ndjson_lines(batch.records))

"""The lines of a zone file."""

from app.protocols.record_formats import presentation
from app.protocols.record_formats.types import TTL_SECONDS, RecordSetChange


def lines(change: RecordSetChange) -> str:
    """Return the records to add, after comments with the records to remove."""
    head = f"{change.name}."
    removed = [
        f"; Remove: {head} IN {change.type} {presentation.value(change.type, text)}"
        for text in change.removed
    ]
    added = [
        f"{head} {TTL_SECONDS} IN {change.type} {presentation.value(change.type, text)}"
        for text in change.added
    ]
    return "\n".join((*removed, *added))

"""Scripts for nsupdate, which sends dynamic updates (RFC 2136)."""

from app.protocols.record_formats import presentation
from app.protocols.record_formats.types import TTL_SECONDS, RecordSetChange


def script(change: RecordSetChange) -> str:
    """Return the commands for one update, which a server applies completely or not at all."""
    name = f"{change.name}."
    removed = [
        f"update delete {name} {change.type} {presentation.value(change.type, text)}"
        for text in change.removed
    ]
    added = [
        f"update add {name} {TTL_SECONDS} {change.type} {presentation.value(change.type, text)}"
        for text in change.added
    ]
    return "\n".join((*removed, *added, "send"))

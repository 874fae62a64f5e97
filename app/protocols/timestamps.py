"""Times as text (RFC 3339)."""

from datetime import UTC, datetime


def text(moment: datetime) -> str:
    """``2026-01-31T12:00:00.000Z``: UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

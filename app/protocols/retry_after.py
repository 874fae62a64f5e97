"""The Retry-After header (RFC 9110 §10.2.3)."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

MAX_WAIT = timedelta(hours=24)


def wait(header: str, now: datetime) -> timedelta | None:
    """Return how long the header asks to wait, at most ``MAX_WAIT``; None without a valid one."""
    header = header.strip()
    if header.isascii() and header.isdigit():
        return min(timedelta(seconds=int(header)), MAX_WAIT) if len(header) < 10 else MAX_WAIT
    try:
        at = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(at - now, timedelta(0)), MAX_WAIT)

"""Dates and times in filters and forms."""

import re
from datetime import UTC, datetime, timedelta

from app.protocols.timestamps import FIRST, LAST


def parse_day(text: str) -> datetime | None:
    """Return the start of a day such as 2026-01-31 (UTC); None for anything else."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def parse_end_of_day(text: str) -> datetime | None:
    """Return the end of a day such as 2026-01-31 (UTC); None for anything else."""
    start = parse_day(text)
    return start + timedelta(days=1) if start else None


def parse_time(text: str) -> datetime | None:
    """Return a time such as 2026-01-31T12:00 (UTC by default); None for anything else."""
    try:
        at = datetime.fromisoformat(text)
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return at if FIRST <= at <= LAST else None

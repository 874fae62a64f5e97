"""Dates and times of pages: the zone of the reader, and dates and times in filters and forms.

The zone is that of the user's setting, else the one that the browser reports, else UTC. Days of
reports are days in UTC in every zone, because reports cover them.
"""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from flask import g, has_request_context, request

from app.analysis.mail import periods
from app.protocols import timestamps
from app.protocols.timestamps import FIRST, LAST, UTC_ZONE
from app.services.sign_in.sessions import UserSession

ZONE_COOKIE = "time-zone"  # set by app.js; it has the zone of the browser


def reader_zone() -> ZoneInfo:
    """Return the time zone in which this request's page shows times."""
    if not has_request_context():
        return UTC_ZONE
    if "reader_zone" not in g:
        user: UserSession | None = g.get("user")
        setting = user.time_zone if user is not None else None
        g.reader_zone = (
            timestamps.find_zone(setting or "")
            or timestamps.find_zone(request.cookies.get(ZONE_COOKIE, ""))
            or UTC_ZONE
        )
    zone: ZoneInfo = g.reader_zone
    return zone


def parse_day(text: str, zone: ZoneInfo = UTC_ZONE) -> datetime | None:
    """Return the start of a day such as 2026-01-31 in the zone; None for anything else."""
    day = _parse_date(text)
    return periods.midnight(day, zone) if day else None


def parse_end_of_day(text: str, zone: ZoneInfo = UTC_ZONE) -> datetime | None:
    """Return the end of a day such as 2026-01-31 in the zone; None for anything else."""
    day = _parse_date(text)
    return periods.midnight(day + timedelta(days=1), zone) if day else None


def first_of_last(days: int, zone: ZoneInfo, now: datetime) -> date:
    """Return the first of the last days in the zone; today is one of them."""
    return now.astimezone(zone).date() - timedelta(days=days - 1)


def parse_time(text: str) -> datetime | None:
    """Return a time such as 2026-01-31T12:00 (UTC by default); None for anything else."""
    try:
        at = datetime.fromisoformat(text)
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return at if FIRST <= at <= LAST else None


def _parse_date(text: str) -> date | None:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if FIRST.date() <= day < LAST.date() else None

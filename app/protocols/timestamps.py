"""Timestamps as text: RFC 3339, and the local time of a reader in a zone of the IANA database."""

from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

FIRST, LAST = (
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2200, 1, 1, tzinfo=UTC),
)  # the accepted range
UTC_ZONE = ZoneInfo("UTC")
MAX_ZONE_NAME = 64
UNKNOWN_ZONE = "unknown time zone. Use a name of the IANA database, such as Europe/Berlin"


def text(at: datetime) -> str:
    """The timestamp as ``2026-01-31T12:00:00.000Z``: UTC, to the millisecond."""
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    minute = _minute(at.year, at.month, at.day, at.hour, at.minute)
    return f"{minute}{at.second:02}.{at.microsecond // 1000:03}Z"


@lru_cache(maxsize=4096)  # ``isoformat`` takes three times as long
def _minute(year: int, month: int, day: int, hour: int, minute: int) -> str:
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:"


@cache
def zone_names() -> tuple[str, ...]:
    """Return the names of all time zones, in alphabetical order."""
    return tuple(sorted(available_timezones()))


@cache
def _zone_set() -> frozenset[str]:
    return frozenset(zone_names())


def find_zone(name: str) -> ZoneInfo | None:
    """Return the time zone of this name; None if there is none."""
    return ZoneInfo(name) if name in _zone_set() else None


def local_text(at: datetime, zone: ZoneInfo) -> str:
    """The time in the zone, such as ``2026-01-31 13:00 CET`` or ``2026-01-31 17:45 UTC+05:45``."""
    local = at.astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M} {abbreviation(local)}"


def abbreviation(local: datetime) -> str:
    """Return the abbreviation of the zone at this time; the offset if the zone has none."""
    name = local.tzname() or ""
    return name if name.isalpha() else f"UTC{local.isoformat(timespec='minutes')[16:]}"


def next_weekly(weekday: int, hour: int, zone: ZoneInfo, now: datetime) -> datetime:
    """Return the next time in UTC at which it is this hour of this weekday in the zone.

    An hour that the clock skips begins at the first time after it. Of an hour that the clock
    repeats, the first one counts. ``weekday`` is 0 for Monday.
    """
    today = now.astimezone(zone).date()
    day = today + timedelta(days=(weekday - today.weekday()) % 7)
    at = _local_hour(day, hour, zone)
    return at if at > now else _local_hour(day + timedelta(days=7), hour, zone)


def _local_hour(day: date, hour: int, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=zone).astimezone(UTC)

"""Dates and times in the forms in which reporters write them."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_TEXT = 100

_ISO = re.compile(
    r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})"
    r"(?:[Tt_ ]{1,3}([0-9]{1,2}):?([0-9]{2})(?::?([0-9]{2})(?:[.,][0-9]{1,20})?)?"
    r"(?: ?([Zz]|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)"
    r"(?: ?(?:[A-Z]{1,5}|\[[A-Za-z/_+-]{1,40}\]|[+-][0-9]{4}))?(?: m=[0-9.+-]{1,40})?)?)?"
)
_EPOCH = re.compile(r"([0-9]{9,10})(?:[0-9]{3})?(?:\.[0-9]{1,9})?")
_UTC = ("", "Z", "UTC", "GMT")


def parse(text: str, *, is_end: bool = False) -> tuple[int, bool] | None:
    """The time in seconds since 1970, and whether it has a time zone; None if unreadable.

    The forms are RFC 3339 with its usual variations, RFC 5322, the format of Go, and seconds or
    milliseconds since 1970. A date without a time is its first second, or its last with ``is_end``.
    """
    text = text.strip()
    if len(text) > MAX_TEXT:
        return None
    if match := _EPOCH.fullmatch(text):
        return int(match[1]), True
    try:
        if match := _ISO.fullmatch(text):
            return _iso(match, is_end), match[8] is not None
        moment = parsedate_to_datetime(text)
        return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()), bool(moment.tzinfo)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _iso(match: re.Match[str], is_end: bool) -> int:
    day = datetime(int(match[1]), int(match[3]), int(match[4]), tzinfo=UTC)
    if match[5] is None:
        return int(day.timestamp()) + (86399 if is_end else 0)
    hour, minute, second = (int(part or 0) for part in match.group(5, 6, 7))
    since_midnight = hour * 3600 + minute * 60 + second
    if minute > 59 or second > 60 or hour > 24 or (hour == 24 and since_midnight > 86400):
        raise ValueError("no time of day")
    return int(day.timestamp()) + since_midnight - _offset(match[8] or "")


def _offset(zone: str) -> int:
    """Seconds east of UTC."""
    if zone.upper() in _UTC:
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if zone.startswith("-") else seconds

"""The filters in the URL of a list; a value that is not valid is reported on the page."""

from collections.abc import Collection

from flask import g, request

from app.web.base import dates

MAX_CHARACTERS = 253


def text(name: str, most: int = MAX_CHARACTERS) -> str:
    """Return the text of a filter; empty if it is not set."""
    return request.args.get(name, "").strip()[:most].replace("\0", "")


def choice(name: str, choices: Collection[str], default: str = "") -> str:
    """Return the value of a filter with fixed values; ``default`` if it is not set or unknown."""
    value = text(name)
    if not value or value in choices:
        return value or default
    options = ", ".join(filter(None, choices))
    _reject(name, value, f"Use one of: {options}.")
    return default


def day(name: str) -> str:
    """Return the date of a filter, such as 2026-01-31; empty if it is not set or not a date."""
    value = text(name)
    if not value or dates.parse_day(value):
        return value
    _reject(name, value, "Enter a date such as 2026-01-31.")
    return ""


def time(name: str) -> str:
    """Return the time of a filter; empty if it is not set or not a time."""
    value = text(name)
    if not value or dates.parse_time(value):
        return value
    _reject(name, value, "Enter a time such as 2026-01-31T12:00.")
    return ""


def rejected() -> list[str]:
    """Return the messages about the filters of this request that were not applied."""
    messages: list[str] = g.get("rejected_filters", [])
    return messages


def _reject(name: str, value: str, advice: str) -> None:
    message = f"The filter “{name}” was not applied: “{value[:50]}” is not valid. {advice}"
    if message not in rejected():
        g.rejected_filters = [*rejected(), message]

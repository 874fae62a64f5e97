"""The filters in the URL of a list; a value that is not valid is reported on the page."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from flask import g, request, url_for

from app import wall_clock
from app.protocols.timestamps import UTC_ZONE
from app.web.base import dates

MAX_CHARACTERS = 253
PRESETS = {7: "Last 7 days", 30: "Last 30 days", 90: "Last 90 days"}


@dataclass(frozen=True, slots=True)
class Preset:
    """A link that sets the period of a list to the last days.

    is_current  the list shows this period
    """

    label: str
    url: str
    is_current: bool


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


def presets(
    zone: ZoneInfo = UTC_ZONE, *, time: str = "", now: datetime | None = None
) -> Sequence[Preset]:
    """Return the links to the periods that readers choose most.

    zone  in which the filters ``from`` and ``to`` are days
    time  what follows the date in the filter ``from``, such as ``T00:00``
    """
    at = now or wall_clock.now()
    others = {
        name: value
        for name, value in request.args.items()
        if name not in ("from", "to", "cursor") and value
    }
    endpoint, parts = request.endpoint or "", request.view_args or {}
    links = []
    for days, label in PRESETS.items():
        start = f"{dates.first_of_last(days, zone, at):%Y-%m-%d}{time}"
        links.append(
            Preset(
                label=label,
                url=url_for(endpoint, **{**others, **parts, "from": start}),
                is_current=request.args.get("from") == start and not request.args.get("to"),
            )
        )
    return links


def rejected() -> list[str]:
    """Return the messages about the filters of this request that were not applied."""
    messages: list[str] = g.get("rejected_filters", [])
    return messages


def _reject(name: str, value: str, advice: str) -> None:
    message = f"The filter “{name}” was not applied: “{value[:50]}” is not valid. {advice}"
    if message not in rejected():
        g.rejected_filters = [*rejected(), message]

"""Template filters: how values are shown on a page."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint
from markupsafe import Markup, escape

from app import ids, wall_clock
from app.analysis.scan.labels import VERDICTS, check_name
from app.protocols import names, timestamps
from app.protocols.quantities import quantity
from app.protocols.report_formats import deviations
from app.services.emails.browser_names import browser
from app.web.base import dates
from app.web.base.charts import bar_width, spark
from app.web.base.privacy import private

_UNITS = (
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
)
_TIMESTAMP = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|\+00:00)")
_LABELS = {
    "own": "Your servers",
    "unknown": "Needs review",
    "suspicious": "Unauthenticated",
    "token": "Trusted upload",
    "dead": "Failed",
    "warn": "Warning",
    "api": "API",
    "cli": "Command line",
}
_DISPOSITIONS = {
    "none": "delivered (policy none)",
    "quarantine": "quarantined",
    "reject": "rejected",
}
_RECEIVED_VIA = {
    "http": "Posted to the report address",
    "upload": "Uploaded with a token",
    "mail": "Received by email",
    "mailbox": "Fetched from the mailbox",
    "cli": "Imported on the command line",
    "dashboard": "Uploaded in the dashboard",
}


def add_to(blueprint: Blueprint) -> None:
    """Register the filters for all templates."""
    for filter in (
        ago,
        bar_width,
        breakable,
        browser,
        check_name,
        day,
        disposition,
        file_size,
        label,
        local_day,
        local_time,
        number,
        percent,
        private,
        public,
        quantity,
        received_via,
        sentence,
        share_of,
        short,
        signed,
        spark,
        tooltip,
        unicode_name,
        utc_time,
        verdict,
        with_code,
        words,
    ):
        blueprint.add_app_template_filter(filter)
    blueprint.add_app_template_filter(deviations.describe, "parser_warning")
    blueprint.add_app_template_filter(deviations.describe_reason, "skip_reason")


def with_code(text: str) -> Markup:
    """Return the text as HTML, with code in back quotes as ``<code>``."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else part
        for index, part in enumerate(parts)
    )


def ago(when: datetime | str | None, now: datetime | None = None) -> str:
    """Return the time from now: ``3 hours ago``, ``in 2 days``, ``just now`` or ``never``."""
    if when is None:
        return "never"
    span = (now or wall_clock.now()) - _datetime(when)
    for unit, name in _UNITS:
        if abs(span) >= unit:
            text = quantity(int(abs(span) / unit), name)
            return f"{text} ago" if span > timedelta(0) else f"in {text}"
    return "just now" if span >= timedelta(0) else "in a moment"


def utc_time(when: datetime | str) -> str:
    """Return the time in UTC, such as ``2026-01-31 12:00 UTC``."""
    return f"{_datetime(when).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def local_time(when: datetime | str) -> str:
    """Return the time in the zone of the reader, such as ``2026-01-31 13:00 CET``."""
    return timestamps.local_text(_datetime(when), dates.reader_zone())


def tooltip(when: datetime | str) -> str:
    """Return the time in the zone of the reader and in UTC, for the tooltip of a time from now."""
    return " · ".join(dict.fromkeys((local_time(when), utc_time(when))))


def day(when: datetime | str) -> str:
    """Return the day in UTC, such as ``2026-01-31``; for periods that are days in UTC."""
    return f"{_datetime(when).astimezone(UTC):%Y-%m-%d}"


def local_day(when: datetime | str, now: datetime | None = None) -> str:
    """Return the day in the zone of the reader: ``2 Dec``, or ``2 Dec 2027`` in another year."""
    zone = dates.reader_zone()
    at = _datetime(when).astimezone(zone)
    text = f"{at.day} {at:%b}"
    return (
        text if at.year == (now or wall_clock.now()).astimezone(zone).year else f"{text} {at.year}"
    )


def sentence(text: str) -> str:
    """Return the text with a capital first letter and the rest as it is, ending with a period."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def label(word: str) -> str:
    """Return a value as a label, such as ``Sends only`` for ``sends-only``."""
    text = str(word)
    return _LABELS.get(text) or (text[:1].upper() + text[1:]).replace("-", " ").replace("_", " ")


def verdict(word: str, is_set_up: bool = True) -> str:
    """Return the verdict of a check; without records, an informational one is ``Not set up``."""
    if word == "info" and not is_set_up:
        return "Not set up"
    return VERDICTS.get(word) or label(word)


def disposition(word: str) -> str:
    """Return the action of receivers, such as ``quarantined``."""
    return _DISPOSITIONS.get(word, word)


def received_via(channel: str) -> str:
    """Return how a report file was received."""
    return _RECEIVED_VIA.get(channel) or label(channel)


def number(value: int) -> str:
    """Return the number with thousands separators, such as ``12,345``."""
    return f"{value:,}"


def file_size(size_bytes: int) -> str:
    """Return a size in the largest unit of which there is at least one, such as ``10 MiB``."""
    for unit_bytes, unit in ((1024**2, "MiB"), (1024, "KiB")):
        if size_bytes >= unit_bytes:
            return f"{size_bytes / unit_bytes:.1f}".removesuffix(".0") + f" {unit}"
    return quantity(size_bytes, "byte")


def percent(rate: float | None, digits: int = 1) -> str:
    """Return the rate (0 to 1) as a percentage, such as ``97.5 %``; a dash without a rate."""
    return "–" if rate is None else f"{100 * rate:.{digits}f} %"


def share_of(part: int, whole: int) -> str:
    """Return the part of the whole in percent, such as ``97.5 %``; 100 % only for all of it."""
    if part < whole and part * 1_000 >= whole * 999.5:
        return "99.9\N{NO-BREAK SPACE}%"
    return f"{100 * part / whole:.1f}".removesuffix(".0") + "\N{NO-BREAK SPACE}%"


def signed(number: int) -> str:
    """Return the number with its sign, such as ``+5``; the minus is that of mathematics."""
    return f"{number:+d}".replace("-", "\N{MINUS SIGN}")


def public(id: Any, prefix: str) -> str:
    """Return the id as clients of the API see it, such as ``alert_…``."""
    return ids.public(prefix, id)


def breakable(name: str) -> Markup:
    """Return the domain name, with line breaks allowed after each dot."""
    return Markup(".<wbr>").join(map(escape, name.split(".")))


def short(value: int | float) -> str:
    """Return the number in short form for axes and tiles: ``999``, ``1.2k``, ``34M``."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if value >= size:
            text = f"{value / size:.1f}" if value < 10 * size else f"{value / size:.0f}"
            return text.removesuffix(".0") + letter
    return str(value)


def unicode_name(name: str) -> str:
    """Return the Unicode form of an internationalized name; empty if it is the same."""
    readable = names.unicode_name(names.DomainName(name))
    return "" if readable == name else readable


def words(value: Any) -> str:
    """Return a value of an alert's evidence as text."""
    if isinstance(value, list | tuple):
        separator = "; " if any(isinstance(item, dict) for item in value) else ", "
        return separator.join(map(words, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {words(item)}" for name, item in value.items())
    if isinstance(value, bool):  # 1 equals True and is a count
        return "yes" if value else "no"
    if isinstance(value, str) and _TIMESTAMP.fullmatch(value):
        return local_time(value)
    return "none" if value is None else str(value)


def _datetime(when: datetime | str) -> datetime:
    return datetime.fromisoformat(when) if isinstance(when, str) else when

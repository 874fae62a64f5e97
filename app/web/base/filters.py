"""How values are put into words on a page."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint
from markupsafe import Markup, escape

from app import ids
from app.protocols import names
from app.services.core.browser_names import browser
from app.web.base import charts
from app.web.base.privacy import private

_UNITS = (
    (timedelta(days=1), "d"),
    (timedelta(hours=1), "h"),
    (timedelta(minutes=1), "min"),
)


def add_to(blueprint: Blueprint) -> None:
    """Let the templates use them."""
    for filter in (
        ago,
        breakable,
        browser,
        check_name,
        day,
        moment,
        private,
        public,
        short,
        spark,
        unicode_name,
        words,
    ):
        blueprint.add_app_template_filter(filter)


def ago(when: datetime | str | None) -> str:
    """``3 h ago``, ``in 2 d``, ``just now``, or ``never``."""
    if when is None:
        return "never"
    span = datetime.now(UTC) - _datetime(when)
    for unit, letter in _UNITS:
        if abs(span) >= unit:
            count = int(abs(span) / unit)
            return f"{count} {letter} ago" if span > timedelta(0) else f"in {count} {letter}"
    return "just now"


def moment(when: datetime | str) -> str:
    """``2026-01-31 12:00 UTC``."""
    return f"{_datetime(when).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def day(when: datetime | str) -> str:
    """``2026-01-31``, in UTC."""
    return f"{_datetime(when).astimezone(UTC):%Y-%m-%d}"


def public(id: Any, prefix: str) -> str:
    """The id as clients of the API see it."""
    return ids.public(prefix, id)


def breakable(name: str) -> Markup:
    """The name, which may go on in another line after a dot, and is not torn elsewhere for that."""
    return Markup(".<wbr>").join(map(escape, name.split(".")))


def check_name(name: str) -> str:
    """``MTA-STS`` for ``mta_sts``: a check as people call it."""
    return {"rdns": "Reverse DNS"}.get(name, name.replace("_", "-").upper())


def short(count: int | float) -> str:
    """``999``, ``1.2k``, ``34M``: for axes and tiles, where the exact number is beside it."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if count >= size:
            text = f"{count / size:.1f}" if count < 10 * size else f"{count / size:.0f}"
            return text.removesuffix(".0") + letter
    return str(count)


def spark(values: Sequence[int]) -> str:
    """The points of a small line."""
    return charts.spark(values)


def unicode_name(name: str) -> str:
    """The name as people read it, if that is another one; else nothing."""
    readable = names.unicode_name(names.DomainName(name))
    return "" if readable == name else readable


def words(value: Any) -> str:
    """A piece of evidence as text."""
    if isinstance(value, list | tuple):
        separator = "; " if any(isinstance(item, dict) for item in value) else ", "
        return separator.join(map(words, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {words(item)}" for name, item in value.items())
    return {None: "none", True: "yes", False: "no"}.get(value, str(value))


def _datetime(when: datetime | str) -> datetime:
    return datetime.fromisoformat(when) if isinstance(when, str) else when

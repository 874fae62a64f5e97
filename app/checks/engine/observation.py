"""What a finding observed, in words: the text of its type with the values of its evidence."""

import string
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

MAX_LENGTH = 300  # characters of one value; the evidence has all of it


class _Evidence(dict[str, Any]):
    """The evidence of a finding, and ``subject``, ``name``, ``item`` and ``evidence``."""

    def __init__(self, subject: str, evidence: Mapping[str, Any]) -> None:
        name, _, item = subject.partition(" ")
        super().__init__(evidence, subject=subject, name=name, item=item, evidence=evidence)


class _Formatter(string.Formatter):
    """Formats values: as code in back quotes, unless the format says how."""

    def format_field(self, value: Any, format_spec: str) -> str:
        return _FORMATS[format_spec](value)


UNKNOWN = "This was observed at {subject}."


def observation(observed: str, subject: str, evidence: Mapping[str, Any]) -> str:
    """Return what was observed, with code in back quotes.

    observed  the text of the type; ``{key}`` is a value of the evidence as code, ``{subject}`` that
              of the finding, and ``{name}`` and ``{item}`` its parts before and after the first
              space. A format may follow a colon: the keys of ``_FORMATS``
    returns   a general sentence if the evidence lacks a value, as that of an older version may
    """
    try:
        return _Formatter().vformat(observed, (), _Evidence(subject, evidence))
    except (KeyError, TypeError, ValueError):
        return observation(UNKNOWN, subject, {})


def _code(value: Any) -> str:
    """The value as code; several are joined as in a sentence."""
    if isinstance(value, Mapping):
        return "; ".join(f"{_code(key)}: {_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return _joined(value)
    return str(value) if isinstance(value, int) else f"`{_short(str(value))}`"


def _joined(values: Sequence[Any]) -> str:
    *first, last = [_code(value) for value in values] or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def _text(value: Any) -> str:
    """The value as prose, with a period at its end removed."""
    if isinstance(value, Mapping):
        return "; ".join(
            f"{key} ({_text(item)})" if isinstance(item, Mapping) else f"{key}: {_text(item)}"
            for key, item in value.items()
        )
    if isinstance(value, list | tuple):
        return "; ".join(map(_text, value))
    return _short(str(value).rstrip("."))


def _short(text: str) -> str:
    text = text.replace("`", "'")
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…"


def _day(value: str) -> str:
    """The day of a time, as in ``2 Dec 2026``."""
    at = datetime.fromisoformat(value)
    return f"{at.day} {at:%b %Y}"


def _days(value: Mapping[str, str]) -> str:
    return "; ".join(f"{name} on {_day(at)}" for name, at in value.items())


_FORMATS: Mapping[str, Callable[[Any], str]] = {
    "": _code,
    "aside": lambda value: f" ({_code(value)})" if value else "",
    "count": lambda value: f"{int(value):,}",
    "day": _day,
    "days": _days,
    "path": lambda value: " → ".join(map(_code, value)),
    "tags": lambda value: _code("; ".join(f"{tag}={text}" for tag, text in value.items())),
    "text": _text,
}

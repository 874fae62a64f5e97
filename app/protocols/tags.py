"""The ``tag=value`` lists of DMARC, DKIM, TLS-RPT, MTA-STS and BIMI records."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SPACE = " \t\r\n"  # RFC 6376 §2.8: folding white space
# What is pasted before a record: blanks, quotes, and characters that are not visible.
_PASTED = "[ \\t\\r\\n\\\\\"'`\u2018\u2019\u201c\u201d\u00a0\u200b-\u200f\u2060\ufeff]*+"
_VERSION = re.compile(rf"{_PASTED}v[ \t]*=[ \t]*([a-z0-9]+)", re.ASCII | re.IGNORECASE)
_BARE_VERSION = re.compile(  # ``v=`` is missing or misspelled
    rf"{_PASTED}(?:v[ \t]*+[=:]*+|=)?[ \t]*+(dmarc|tlsrpt|sts|bimi|dkim)[ \t]?(?:v?1)?"
    r"[ \t]*+(?:[;,:\\\"'\u201c\u201d]|$|[a-z]+[ \t]*=)",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Problem:
    """An invalid tag with the reason for people; ``name`` is ``""`` if it is not a tag at all."""

    name: str
    value: str
    reason: str


def split(text: str) -> list[tuple[str, str]]:
    """The (name, value) pairs in order, as written, without surrounding white space.

    returns  ``("", text)`` for a part without ``=``; nothing for an empty part
    source   RFC 6376 §3.2
    """
    pairs = []
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            pairs.append((name.strip(_SPACE), value.strip(_SPACE)))
        elif part := part.strip(_SPACE):
            pairs.append(("", part))
    return pairs


def lowered(text: str) -> str:
    """The text in lower case if it is ASCII, else unchanged (the Kelvin sign is not a k)."""
    return text.lower() if text.isascii() else text


def items(value: str, separator: str = ":") -> tuple[str, ...]:
    """The parts of a list value without surrounding white space; empty parts are omitted."""
    return tuple(item for part in value.split(separator) if (item := part.strip(_SPACE)))


def repeated(names: Iterable[str]) -> tuple[str, ...]:
    """The distinct names that occur more than once, in order."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    return tuple(name for name, count in seen.items() if count > 1)


def claims_version(text: str, version: str) -> bool:
    """Whether the text begins with this version in any spelling, so that it was meant as a record.

    Receivers are stricter; this distinguishes a broken record from a missing one.
    """
    match = _VERSION.match(text) or _BARE_VERSION.match(text)
    return match is not None and match[1].lower().startswith(version.lower())


def why_not_a_tag(part: str) -> str:
    """What is evidently wrong with a part between two semicolons that lacks ``=``."""
    name, colon, _ = part.partition(":")
    if "@" in part and (not colon or name.lower() == "mailto"):
        return "not a tag: separate the addresses of a list with a comma, not with a semicolon"
    if colon and name.strip(_SPACE).isalpha():
        return f"not a tag: write {name.strip(_SPACE)[:20]}= instead of {name.strip(_SPACE)[:20]}:"
    return "not a tag: = is missing"


def replaced(text: str, name: str, value: str | None) -> str:
    """The record with this value for the tag, in its position or at the end; without it for None.

    A new ``p`` is inserted after the version, as RFC 7489 §6.3 requires.
    """
    parts, is_replaced = [], value is None
    for part in filter(None, (part.strip(_SPACE) for part in text.split(";"))):
        if lowered(part.partition("=")[0].strip(_SPACE)) != name:
            parts.append(part)
        elif not is_replaced:
            parts.append(f"{name}={value}")
            is_replaced = True
    if not is_replaced:
        parts.insert(1 if name == "p" else len(parts), f"{name}={value}")
    return "; ".join(parts)

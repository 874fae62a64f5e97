"""The ``tag=value`` lists of DMARC, DKIM, TLS-RPT, MTA-STS and BIMI records."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SPACE = " \t\r\n"  # RFC 6376 §2.8: folding white space
_VERSION = re.compile(r"[ \t\r\n\"']*v[ \t]*=[ \t]*([a-z0-9]+)", re.ASCII | re.IGNORECASE)


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
    match = _VERSION.match(text)
    return match is not None and match[1].lower().startswith(version.lower())


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

"""The list of ``tag=value`` that DMARC, DKIM, TLS-RPT, MTA-STS and BIMI records are."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SPACE = " \t\r\n"  # RFC 6376 §2.8: folding white space
_VERSION = re.compile(r"[ \t\r\n\"']*v[ \t]*=[ \t]*([a-z0-9]+)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Problem:
    """A tag that could not be read, and why, for people; ``name`` is ``""`` if it was no tag."""

    name: str
    value: str
    reason: str


def split(text: str) -> list[tuple[str, str]]:
    """The (name, value) pairs in order, as they stand, without the white space around them.

    returns  ``("", text)`` for what has no ``=``; nothing for what is empty between two ``;``
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
    """ASCII letters in lower case, all else as it is (the Kelvin sign is no k)."""
    return text.lower() if text.isascii() else text


def items(value: str, separator: str = ":") -> tuple[str, ...]:
    """The parts of a list value without the white space around them; empty ones left out."""
    return tuple(item for part in value.split(separator) if (item := part.strip(_SPACE)))


def repeated(names: Iterable[str]) -> tuple[str, ...]:
    """The names that occur more than once, each once, in order."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    return tuple(name for name, count in seen.items() if count > 1)


def claims_version(text: str, version: str) -> bool:
    """Whether the text begins with this version, however badly written: it was meant as one.

    Receivers are stricter; this is for telling a broken record from none.
    """
    found = _VERSION.match(text)
    return found is not None and found[1].lower().startswith(version.lower())


def replaced(text: str, name: str, value: str | None) -> str:
    """The record with this value for the tag, at its place or at the end; without it for None.

    A new ``p`` goes behind the version, where RFC 7489 §6.3 wants it.
    """
    kept, is_placed = [], value is None
    for part in filter(None, (part.strip(_SPACE) for part in text.split(";"))):
        if lowered(part.partition("=")[0].strip(_SPACE)) != name:
            kept.append(part)
        elif not is_placed:
            kept.append(f"{name}={value}")
            is_placed = True
    if not is_placed:
        kept.insert(1 if name == "p" else len(kept), f"{name}={value}")
    return "; ".join(kept)

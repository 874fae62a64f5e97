"""What a malformed ``tag=value`` record was evidently meant to be.

People paste records with backslashes and quotes, separate tags with colons, commas or blanks,
forget ``mailto:`` and misspell values. The functions interpret such text; they guess
nothing: where the meaning is not evident, the result is None.
"""

import difflib
import re
from collections.abc import Sequence
from functools import cache

from app.protocols import tags

_JUNK = '"`\u201c\u201d'  # quotes that are pasted with the record
_INVISIBLE = re.compile("[\u00a0\u200b-\u200f\u2060\ufeff]")  # pasted from a web page
_EDGES = " \t\r\n;,:'"
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.ASCII | re.IGNORECASE)


def tag_pairs(text: str, known: Sequence[str]) -> list[tuple[str, str]] | None:
    """The (name, value) pairs of the text in order, with names in lower case.

    known    the names of tags; one of them with ``=`` begins a tag after any separator
    returns  each name once, as its first occurrence counts; None if a part is not a tag
    """
    plain = re.sub(f"[{_JUNK}\\\\]", "", _INVISIBLE.sub(" ", text))
    tag_start = _tag_start(tuple(known))
    pairs: dict[str, str] = {}
    for part in plain.split(";"):
        starts = [match.start(1) for match in tag_start.finditer(part)]
        if not starts or part[: starts[0]].strip(_EDGES):
            starts.insert(0, 0)
        for start, end in zip(starts, [*starts[1:], len(part)], strict=True):
            name, equals, value = part[start:end].partition("=")
            if equals:
                pairs.setdefault(tags.lowered(name.strip(_EDGES)), value.strip(_EDGES))
            elif name.strip(_EDGES):
                return None
    return list(pairs.items())


def choice(value: str, choices: Sequence[str]) -> str | None:
    """The choice that a misspelled value evidently means; None if that is not evident."""
    word = re.sub(r"[^a-z]", "", value.lower())
    if word in choices:
        return word
    close = difflib.get_close_matches(word[:40], choices, n=2, cutoff=0.7)
    return close[0] if len(close) == 1 else None


def addresses(value: str) -> list[str]:
    """The report addresses of a list, each once; one without a scheme gets ``mailto:``."""
    unique = dict.fromkeys(
        _address(item) for item in re.split(r"[,\s]+", value) if item.strip(_EDGES + "<>")
    )
    return list(unique)


def _address(text: str) -> str:
    address = text.strip(_EDGES + "<>")
    if re.match(r"mailto:/+", address, re.IGNORECASE):
        return "mailto:" + address[7:].lstrip("/")
    if match := re.match(r"https?:(?=[^/]*@)", address, re.IGNORECASE):
        return f"mailto:{address[match.end() :]}"
    if "@" in address and not _SCHEME.match(address):
        return f"mailto:{address}"
    return address


def joined(pairs: Sequence[tuple[str, str]]) -> str:
    """The record of these tags."""
    return "; ".join(f"{name}={value}" for name, value in pairs)


@cache
def _tag_start(known: tuple[str, ...]) -> re.Pattern[str]:
    names = "|".join(sorted(map(re.escape, known), key=len, reverse=True))
    return re.compile(rf"(?:^|(?<=[:,\s]))({names})[ \t]?=", re.ASCII | re.IGNORECASE)

"""What a malformed ``tag=value`` record was evidently meant to be.

People paste records with backslashes and quotes, separate tags with colons, commas or blanks,
forget ``mailto:`` and misspell values. The functions interpret such text; they guess
nothing: where the meaning is not evident, the result is None.
"""

import difflib
import re
from collections.abc import Sequence
from functools import cache

from app.protocols import tags, uris

ADDRESS_LISTS = ("rua", "ruf")  # repeated tags of these names are merged into one
_JUNK = '"`\u2018\u2019\u201c\u201d'  # quotes that are pasted with the record
_INVISIBLE = re.compile("[\u00a0\u200b-\u200f\u2060\ufeff]")  # pasted from a web page
_EDGES = " \t\r\n;,:'"
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.ASCII | re.IGNORECASE)
_MAILTO = re.compile(r"(?:mailto:[ \t]*/*[ \t]*)+", re.IGNORECASE)
_HTTPS = re.compile(r"(?:https?:/*)*https:/*", re.ASCII | re.IGNORECASE)
_SIZE = re.compile(r"![0-9]+[kmgt]?$", re.ASCII | re.IGNORECASE)
_MAILBOX = re.compile(
    r"[a-z0-9_][a-z0-9_.%+=&'~#-]{0,63}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+(?:\?.*)?",
    re.ASCII | re.IGNORECASE,
)


def tag_pairs(text: str, known: Sequence[str], version: str) -> list[tuple[str, str]] | None:
    """The (name, value) pairs of the text in order, with names in lower case.

    known    the names of tags; one of them with ``=`` begins a tag after any separator
    version  the value of ``v``, such as ``DMARC1``, also recognized without ``v=``
    returns  each name once, with all addresses of a repeated list; None if a part is not a tag, or
             if a known tag has different values
    """
    plain = re.sub(f"[{_JUNK}\\\\]", "", _INVISIBLE.sub(" ", text))
    plain = _version_start(version, tuple(known)).sub(f"v={version};", plain, count=1)
    pieces = [piece for part in plain.split(";") for piece in _pieces(part, tuple(known))]
    pairs: dict[str, list[str]] = {}
    previous = ""
    for piece in pieces:
        if not piece.strip(_EDGES):
            continue
        name, value = _pair(piece, known)
        if not name and previous in ADDRESS_LISTS and _are_addresses(piece):
            name, value = previous, piece  # a semicolon between addresses
        if not name:
            return None
        values, previous = pairs.setdefault(name, []), name
        if not values or name in ADDRESS_LISTS:
            values.append(value)
        elif name in known and tags.lowered(values[0]) != tags.lowered(value):
            return None
    return [(name, ",".join(values)) for name, values in pairs.items()]


def _pieces(part: str, known: tuple[str, ...]) -> list[str]:
    """The text between two semicolons, divided where a tag with a known name begins."""
    starts = [match.start(1) for match in _tag_start(known).finditer(part)]
    if not starts or part[: starts[0]].strip(_EDGES):
        starts.insert(0, 0)
    return [part[start:end] for start, end in zip(starts, [*starts[1:], len(part)], strict=True)]


def _pair(piece: str, known: Sequence[str]) -> tuple[str, str]:
    """The name and the value; no name if the text is not a tag."""
    name, sign, value = piece.partition("=")
    before, colon, after = piece.partition(":")
    if colon and tags.lowered(before.strip(_EDGES)) in known:
        name, sign, value = before, colon, after
    return (tags.lowered(name.strip(_EDGES)) if sign else ""), value.strip(_EDGES).lstrip(
        _EDGES + "="
    )


def _are_addresses(text: str) -> bool:
    return "@" in text and addresses(text) is not None


def choice(value: str, choices: Sequence[str]) -> str | None:
    """The choice that a misspelled value evidently means; None if that is not evident."""
    word = re.sub(r"[^a-z]", "", value.lower())
    if word in choices:
        return word
    close = difflib.get_close_matches(word[:40], choices, n=2, cutoff=0.7)
    return close[0] if len(close) == 1 else None


def addresses(value: str) -> list[str] | None:
    """The report addresses of a list, each once; one without a scheme gets ``mailto:``.

    returns  None if an item is not a plausible address
    """
    value = _MAILTO.sub("mailto:", value)
    items = [_address(item) for item in re.split(r"[,;\s]+", value) if item.strip(_EDGES + "<>")]
    unique = dict.fromkeys(item for item in items if item is not None)
    return None if None in items else list(unique)


def _address(text: str) -> str | None:
    """The URI that the text was meant to be; None if it is not a plausible address."""
    address = text.strip(_EDGES + "<>=")
    if match := re.match(r"https?:/*(?=[^/]*@)", address, re.IGNORECASE):
        address = f"mailto:{address[match.end() :]}"
    elif "@" in address and not _SCHEME.match(address):
        address = f"mailto:{address}"
    address = with_one_scheme(address)
    plain = _SIZE.sub("", address)
    try:
        uri = uris.parse(plain)
    except ValueError:
        return None
    is_plausible = uri.scheme != "mailto" or _MAILBOX.fullmatch(plain[len("mailto:") :])
    return address if is_plausible else None


def with_one_scheme(url: str) -> str:
    """The URL with ``https://`` once; unchanged if that is not its scheme."""
    return _HTTPS.sub("https://", url, count=1) if _HTTPS.match(url) else url


def joined(pairs: Sequence[tuple[str, str]]) -> str:
    """The record of these tags."""
    return "; ".join(f"{name}={value}" for name, value in pairs)


@cache
def _names(known: tuple[str, ...]) -> str:
    return "|".join(sorted(map(re.escape, known), key=len, reverse=True))


@cache
def _tag_start(known: tuple[str, ...]) -> re.Pattern[str]:
    """The begin of a tag: a colon instead of ``=`` counts only after a blank or a comma."""
    is_equal = r"(?:^|(?<=[:,\s]))(?=[a-z]+[ \t]?=)"
    is_colon = r"(?:^|(?<=[,\s]))(?=[a-z]+[ \t]?:)"
    return re.compile(
        rf"(?:{is_equal}|{is_colon})({_names(known)})(?=[ \t]?[=:])", re.ASCII | re.IGNORECASE
    )


@cache
def _version_start(version: str, known: tuple[str, ...]) -> re.Pattern[str]:
    stem = re.sub(r"v?1$", "", version)
    return re.compile(
        rf"^[ \t\r\n']*+(?:v[ \t]*+[=:]*+|=)?[ \t]*+{stem}[ \t]?(?:v?1)?"
        rf"(?=[;:,'\s]|$|(?:{_names(known)})[ \t]?=)",
        re.ASCII | re.IGNORECASE,
    )

"""SPF macros: parsing and expansion of macro-strings (RFC 7208 §7)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from app.protocols.names import MAX_LABEL, MAX_NAME

LETTERS = "slodiphv"
EXPLANATION_LETTERS = LETTERS + "crt"  # c, r and t only in explanations (§7.2)

_MACRO = re.compile(r"%\{([a-zA-Z])([0-9]*)([rR]?)([.+,/_=-]*)\}")
_ESCAPES = {"%%": "%", "%_": " ", "%-": "%20"}
_LITERAL = re.compile(r"[\x21-\x24\x26-\x7e]+")
_TOP_LABEL = re.compile(
    r"\.(?:[0-9]*[a-z][a-z0-9]*|[a-z0-9]+-[a-z0-9-]*[a-z0-9])\.?\Z", re.IGNORECASE
)
_UNDECODED = re.compile(r"\\x[89a-f][0-9a-f]")  # the escape of a byte that is not UTF-8
_UNRESERVED = "-._~"  # RFC 3986 §2.3, in addition to letters and digits


class BadMacro(ValueError):
    """The text is not a macro-string, domain-spec or explain-string."""


@dataclass(frozen=True, slots=True)
class Macro:
    """One ``%{…}`` (§7.1).

    letter       in lower case
    part_count   number of rightmost parts that remain; None for all
    delimiters   the characters at which the value is split
    is_escaped   whether the value is percent-encoded: the letter is in upper case
    """

    letter: str
    part_count: int | None
    is_reversed: bool
    delimiters: str
    is_escaped: bool


Parts = tuple[str | Macro, ...]


@dataclass(frozen=True, slots=True)
class DomainSpec:
    """A domain-spec, which follows ``:`` or ``=`` in a term.

    text     as written
    letters  the letters of its macros
    """

    text: str
    parts: Parts
    letters: frozenset[str]

    def name_at(self, domain: str) -> str | None:
        """The name in a record of ``domain``; None if it depends on the message."""
        return shortened(expand(self.parts, {"d": domain})) if self.letters <= {"d"} else None


def parse_domain_spec(text: str) -> DomainSpec:
    """The domain-spec: a macro-string that ends in a top label or in a macro.

    raises  BadMacro
    source  §7.1
    """
    tokens = list(_tokens(text, LETTERS))
    if not tokens:
        raise BadMacro("the domain is missing")
    end, is_macro = tokens[-1]
    if isinstance(end, str) and not is_macro and not _TOP_LABEL.search(end):
        raise BadMacro(f"{text} does not end in the name of a top-level domain")
    parts = tuple(part for part, _ in tokens)
    return DomainSpec(text, parts, letters(parts))


def parse_explanation(text: str) -> Parts:
    """The explain-string: macro-strings separated by spaces; macros c, r and t are allowed.

    raises  BadMacro
    source  §6.2
    """
    parts: list[str | Macro] = []
    for index, word in enumerate(text.split(" ")):
        parts += [" "] * (index > 0)
        parts += parse(word, EXPLANATION_LETTERS)
    return tuple(parts)


def parse(text: str, allowed: str = LETTERS) -> Parts:
    """The macro-string: literal text with escapes replaced, and macros, in order.

    allowed  the allowed macro letters
    raises   BadMacro
    source   §7.1
    """
    return tuple(part for part, _ in _tokens(text, allowed))


def letters(parts: Parts) -> frozenset[str]:
    """The letters of the macros among the parts."""
    return frozenset(part.letter for part in parts if isinstance(part, Macro))


def expand(parts: Parts, values: Mapping[str, str]) -> str:
    """The text with each macro replaced by the value for its letter.

    source  §7.3
    """
    return "".join(part if isinstance(part, str) else _value(part, values) for part in parts)


def shortened(name: str) -> str:
    """The name without leftmost labels until it is short enough for DNS (§7.3)."""
    name = plain(name)
    while len(name) > MAX_NAME and "." in name:
        name = name.partition(".")[2]
    return name


def plain(name: str) -> str:
    """The name in lower case without a final dot."""
    return name.lower().removesuffix(".")


def is_queryable(name: str) -> bool:
    """Whether DNS can be queried for the name: no label is empty or too long (RFC 1035 §2.3.4)."""
    sizes = [len(label.encode()) for label in name.split(".")]
    return min(sizes) > 0 and max(sizes) <= MAX_LABEL and len(name.encode()) <= MAX_NAME


def _tokens(text: str, allowed: str) -> Iterator[tuple[str | Macro, bool]]:
    """Each literal run, escape and macro, and whether it is an escape or macro."""
    if _UNDECODED.search(text):
        raise BadMacro("the text contains a byte that is not ASCII")
    at = 0
    while at < len(text):
        if match := _LITERAL.match(text, at):
            yield match[0], False
            at = match.end()
        elif escape := _ESCAPES.get(text[at : at + 2]):
            yield escape, True
            at += 2
        elif match := _MACRO.match(text, at):
            yield _macro(match, allowed), True
            at = match.end()
        elif text[at] == "%":
            raise BadMacro(f"{text[at : at + 20]} is not a valid macro")
        else:
            raise BadMacro("the text contains a character that is not visible ASCII")


def _macro(match: re.Match[str], allowed: str) -> Macro:
    letter, digits, reverse, delimiters = match.groups()
    if letter.lower() not in EXPLANATION_LETTERS:
        raise BadMacro(f"{match[0]} is not a valid macro")
    if letter.lower() not in allowed:
        raise BadMacro(f"{match[0]} is allowed in explanations only")
    count = digits.lstrip("0")
    if digits and not count:
        raise BadMacro(f"{match[0]} selects no part of the value")
    part_count = int(count) if 0 < len(count) < 4 else None  # no value has a thousand parts
    return Macro(
        letter=letter.lower(),
        part_count=part_count,
        is_reversed=bool(reverse),
        delimiters=delimiters or ".",
        is_escaped=letter.isupper(),
    )


def _value(macro: Macro, values: Mapping[str, str]) -> str:
    parts = re.split(f"[{re.escape(macro.delimiters)}]", values[macro.letter])
    if macro.is_reversed:
        parts.reverse()
    value = ".".join(parts[-macro.part_count :] if macro.part_count else parts)
    return quote(value, safe=_UNRESERVED) if macro.is_escaped else value

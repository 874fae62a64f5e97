"""The macros of SPF: the grammar of macro-strings, and their expansion (RFC 7208 §7)."""

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
_UNDECODED = re.compile(r"\\x[89a-f][0-9a-f]")  # how an octet that is no UTF-8 is written
_UNRESERVED = "-._~"  # RFC 3986 §2.3, beside letters and digits


class BadMacro(ValueError):
    """The text is no macro-string, domain-spec or explain-string."""


@dataclass(frozen=True, slots=True)
class Macro:
    """One ``%{…}`` (§7.1).

    letter       in lower case
    kept         how many parts are kept, from the right; None for all
    delimiters   the characters the value is split at
    is_escaped   written with an upper-case letter: percent-encoded as in a URI
    """

    letter: str
    kept: int | None
    is_reversed: bool
    delimiters: str
    is_escaped: bool


Parts = tuple[str | Macro, ...]


@dataclass(frozen=True, slots=True)
class DomainSpec:
    """What follows ``:`` or ``=``, naming a domain.

    text     as written
    letters  those of the macros in it
    """

    text: str
    parts: Parts
    letters: frozenset[str]

    def name_at(self, domain: str) -> str | None:
        """The name it is in a record of ``domain``; None if it depends on the mail."""
        return shortened(expand(self.parts, {"d": domain})) if self.letters <= {"d"} else None


def parse_domain_spec(text: str) -> DomainSpec:
    """The domain-spec: a macro-string that ends in a top label or in a macro.

    raises  BadMacro
    source  §7.1
    """
    tokens = list(_tokens(text, LETTERS))
    if not tokens:
        raise BadMacro("the domain is empty")
    end, is_macro = tokens[-1]
    if isinstance(end, str) and not is_macro and not _TOP_LABEL.search(end):
        raise BadMacro(f"{text} does not end in the name of a top-level domain")
    parts = tuple(part for part, _ in tokens)
    return DomainSpec(text, parts, letters(parts))


def parse_explanation(text: str) -> Parts:
    """The explain-string: macro-strings with blanks between; c, r and t may be used.

    raises  BadMacro
    source  §6.2
    """
    parts: list[str | Macro] = []
    for index, word in enumerate(text.split(" ")):
        parts += [" "] * (index > 0)
        parts += parse(word, EXPLANATION_LETTERS)
    return tuple(parts)


def parse(text: str, allowed: str = LETTERS) -> Parts:
    """The macro-string: literal text, escapes already replaced, and macros, in order.

    allowed  the letters that macros may have
    raises   BadMacro
    source   §7.1
    """
    return tuple(part for part, _ in _tokens(text, allowed))


def letters(parts: Parts) -> frozenset[str]:
    """The letters of the macros among the parts."""
    return frozenset(part.letter for part in parts if isinstance(part, Macro))


def expand(parts: Parts, values: Mapping[str, str]) -> str:
    """The text with each macro replaced by what ``values`` has for its letter.

    source  §7.3
    """
    return "".join(part if isinstance(part, str) else _value(part, values) for part in parts)


def shortened(name: str) -> str:
    """The name without as many labels on the left as it has octets too many (§7.3)."""
    name = plain(name)
    while len(name) > MAX_NAME and "." in name:
        name = name.partition(".")[2]
    return name


def plain(name: str) -> str:
    """The name in lower case without a final dot."""
    return name.lower().removesuffix(".")


def is_askable(name: str) -> bool:
    """Whether DNS can be asked for the name: no label is empty or too long (RFC 1035 §2.3.4)."""
    sizes = [len(label.encode()) for label in name.split(".")]
    return min(sizes) > 0 and max(sizes) <= MAX_LABEL and len(name.encode()) <= MAX_NAME


def _tokens(text: str, allowed: str) -> Iterator[tuple[str | Macro, bool]]:
    """Each literal run, escape and macro, and whether it is one of the last two."""
    if _UNDECODED.search(text):
        raise BadMacro("there is an octet that is not ASCII")
    at = 0
    while at < len(text):
        if found := _LITERAL.match(text, at):
            yield found[0], False
            at = found.end()
        elif escape := _ESCAPES.get(text[at : at + 2]):
            yield escape, True
            at += 2
        elif found := _MACRO.match(text, at):
            yield _macro(found, allowed), True
            at = found.end()
        elif text[at] == "%":
            raise BadMacro(f"{text[at : at + 20]} is no macro")
        else:
            raise BadMacro("there is a character that is not visible ASCII")


def _macro(found: re.Match[str], allowed: str) -> Macro:
    letter, digits, reverse, delimiters = found.groups()
    if letter.lower() not in EXPLANATION_LETTERS:
        raise BadMacro(f"{found[0]} is no macro")
    if letter.lower() not in allowed:
        raise BadMacro(f"{found[0]} may be used in explanations only")
    count = digits.lstrip("0")
    if digits and not count:
        raise BadMacro(f"{found[0]} keeps no part at all")
    kept = int(count) if 0 < len(count) < 4 else None  # no value has a thousand parts
    return Macro(letter.lower(), kept, bool(reverse), delimiters or ".", letter.isupper())


def _value(macro: Macro, values: Mapping[str, str]) -> str:
    parts = re.split(f"[{re.escape(macro.delimiters)}]", values[macro.letter])
    if macro.is_reversed:
        parts.reverse()
    value = ".".join(parts[-macro.kept :] if macro.kept else parts)
    return quote(value, safe=_UNRESERVED) if macro.is_escaped else value

"""SPF records: recognition and parsing of TXT values (RFC 7208)."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from socket import AF_INET, AF_INET6, inet_pton
from typing import Literal

from app.protocols import memoize
from app.protocols.spf import macros
from app.protocols.spf.macros import DomainSpec

VERSION = "v=spf1"
MAX_LOOKUPS, MAX_VOID_LOOKUPS, MAX_NAMES = 10, 2, 10  # §4.6.4; names: of one mx or ptr
LOOKUP_MECHANISMS = frozenset(("include", "a", "mx", "ptr", "exists"))
MECHANISMS = ("all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Qualifier(StrEnum):
    """The result of a directive for mail that its mechanism matches (§4.6.2)."""

    PASS = "+"
    FAIL = "-"
    SOFTFAIL = "~"
    NEUTRAL = "?"


_QUALIFIERS = {qualifier.value: qualifier for qualifier in Qualifier}


@dataclass(frozen=True, slots=True)
class Directive:
    """A mechanism with its qualifier.

    text       as written
    mechanism  in lower case, one of ``MECHANISMS``
    target     the named domain; None for the domain of the record
    network    of ip4 and ip6
    cidr4, cidr6  prefix lengths for the addresses of a and mx
    """

    text: str
    qualifier: Qualifier
    mechanism: str
    target: DomainSpec | None = None
    network: Network | None = None
    cidr4: int = 32
    cidr6: int = 128

    @property
    def is_lookup(self) -> bool:
        """Whether the mechanism counts toward the limit of ten DNS lookups (§4.6.4)."""
        return self.mechanism in LOOKUP_MECHANISMS

    @property
    def lookups(self) -> int:
        """The DNS lookups of the directive itself; a macro p costs one more (§4.6.4)."""
        return self.is_lookup + bool(self.target and "p" in self.target.letters)


@dataclass(frozen=True, slots=True)
class Modifier:
    """A modifier ``name=value``; redirect and exp have a ``target``, others are ignored (§6)."""

    text: str
    name: str
    target: DomainSpec | None = None


Term = Directive | Modifier


@dataclass(frozen=True, slots=True)
class Problem:
    """A term that makes the record a permerror."""

    kind: Literal["syntax_error", "unknown_mechanism", "modifier_repeated"]
    term: str
    reason: str


class NotSpf(ValueError):
    """The text does not begin with ``v=spf1``, so a receiver sees no SPF record."""


class BadRecord(ValueError):
    """The result is permerror for every sender (§4.6); ``problems`` has every invalid term."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{problem.term}: {problem.reason}" for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Record:
    """One valid SPF record: its terms in order, and values derived from them.

    directives  all directives, including those after ``all``
    effective   the directives up to the first ``all``; later ones are never evaluated (§5.1)
    all         the first ``all``
    redirect    the redirect modifier if it has an effect: there is no ``all`` (§6.1)
    lookups     DNS lookups of this record, without those of included records (§4.6.4)
    """

    terms: tuple[Term, ...]
    directives: tuple[Directive, ...] = field(init=False, repr=False, compare=False)
    effective: tuple[Directive, ...] = field(init=False, repr=False, compare=False)
    all: Directive | None = field(init=False, repr=False, compare=False)
    redirect: Modifier | None = field(init=False, repr=False, compare=False)
    lookups: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        every = tuple([term for term in self.terms if isinstance(term, Directive)])
        ends = [at for at, term in enumerate(every) if term.mechanism == "all"]
        effective = every[: ends[0] + 1] if ends else every
        redirect = None if ends else self.modifier("redirect")
        lookups = sum([term.lookups for term in effective]) + (redirect is not None)
        for name, value in (
            ("directives", every),
            ("effective", effective),
            ("all", every[ends[0]] if ends else None),
            ("redirect", redirect),
            ("lookups", lookups),
        ):
            object.__setattr__(self, name, value)

    def modifier(self, name: str) -> Modifier | None:
        """The first modifier of this name."""
        return next(
            (term for term in self.terms if isinstance(term, Modifier) and term.name == name), None
        )


def is_record(text: str) -> bool:
    """Whether a receiver recognizes the TXT value as an SPF record (§4.5)."""
    return text.partition(" ")[0].lower() == VERSION


def parse_record(text: str) -> Record:
    """The SPF record in one TXT value; all syntax is checked before evaluation (§4.6).

    text    the RR's character-strings, joined without a separator
    raises  NotSpf, or BadRecord if a receiver's result is permerror
    source  §4.6.1, §12
    """
    if not is_record(text):
        raise NotSpf("the record does not begin with v=spf1")
    terms: list[Term] = []
    problems: list[Problem] = []
    for word in words(text):
        term = parse_term(word)
        if isinstance(term, Problem):
            problems.append(term)
        else:
            terms.append(term)
    problems += _repeated(terms)
    if problems:
        raise BadRecord(tuple(problems))
    return Record(tuple(terms))


def problems(text: str) -> tuple[Problem, ...]:
    """The invalid terms of the text; none if it is a valid record.

    raises  NotSpf
    """
    try:
        parse_record(text)
    except BadRecord as error:
        return error.problems
    return ()


def words(text: str) -> list[str]:
    """The terms of a record as written, without the version."""
    return [word for word in text.split(" ")[1:] if word]


@memoize.for_short_texts
def parse_term(word: str) -> Term | Problem:
    """The parsed term, or the reason why it is invalid.

    source  §4.6.1: a name followed by ``=`` is a modifier, anything else is a directive
    """
    try:
        if match := _MODIFIER.fullmatch(word):
            return _modifier(word, match[1].lower(), match[2])
        if match := _DIRECTIVE.fullmatch(word):
            qualifier, name, rest = _QUALIFIERS[match[1] or "+"], match[2].lower(), match[3]
            if reader := _READERS.get(name):
                return reader(word, qualifier, name, rest)
            return Problem("unknown_mechanism", word, f"{match[2]} is not an SPF mechanism")
        raise ValueError("neither a mechanism nor a modifier")
    except ValueError as error:
        return Problem("syntax_error", word, str(error))


_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE | re.ASCII | re.DOTALL)
_DIRECTIVE = re.compile(
    r"([+?~-]?)([a-z][a-z0-9_.-]*)((?:[:/].*)?)", re.IGNORECASE | re.ASCII | re.DOTALL
)
_NUMBER = "0|[1-9][0-9]{0,2}"
_CIDR = re.compile(rf"(.*?)(?:/({_NUMBER}))?", re.DOTALL)
_DUAL_CIDR = re.compile(rf"(.*?)(?:/({_NUMBER}))?(?://({_NUMBER}))?", re.DOTALL)
_MAPPED, _MAPPED_BITS = 0xFFFF, 96  # ::ffff:0:0/96


def _all(word: str, qualifier: Qualifier, name: str, rest: str) -> Directive:
    if rest:
        raise ValueError("all does not take a value")
    return Directive(word, qualifier, name)


def _named(word: str, qualifier: Qualifier, name: str, rest: str) -> Directive:
    if not rest.startswith(":"):
        raise ValueError(f"{name} requires a domain")
    return Directive(
        text=word, qualifier=qualifier, mechanism=name, target=macros.parse_domain_spec(rest[1:])
    )


def _ptr(word: str, qualifier: Qualifier, name: str, rest: str) -> Directive:
    return _named(word, qualifier, name, rest) if rest else Directive(word, qualifier, name)


def _addressed(word: str, qualifier: Qualifier, name: str, rest: str) -> Directive:
    """``a`` and ``mx`` (§5.3, §5.4)."""
    match = _DUAL_CIDR.fullmatch(rest)
    if match is None:
        raise ValueError("not a valid term")
    spec, cidr4, cidr6 = match.groups()
    if spec and not spec.startswith(":"):
        raise ValueError(f"{spec} is not a prefix length")
    target = macros.parse_domain_spec(spec[1:]) if spec else None
    return Directive(*(word, qualifier, name, target), None, _bits(cidr4, 32), _bits(cidr6, 128))


def _ip(word: str, qualifier: Qualifier, name: str, rest: str) -> Directive:
    """``ip4`` and ``ip6`` (§5.6)."""
    match = _CIDR.fullmatch(rest[1:])
    if not rest.startswith(":") or match is None or not match[1]:
        raise ValueError(f"{name} requires an IP address")
    if "%" in match[1] or "/" in match[1]:
        raise ValueError(f"{rest[1:]} is not an IP address with a prefix length")
    if name == "ip4":
        network: Network = _network4(_octets(AF_INET, match[1]), _bits(match[2], 32))
    else:
        network = _network6(_octets(AF_INET6, match[1]), _bits(match[2], 128))
    return Directive(word, qualifier, name, network=network)


def _octets(family: int, text: str) -> int:
    """The address as a number, by inet_pton: ``ipaddress`` accepts the same but is slower."""
    try:
        return int.from_bytes(inet_pton(family, text))
    except (OSError, UnicodeEncodeError, ValueError):
        version = 4 if family == AF_INET else 6
        raise ValueError(f"{text} is not an IPv{version} address") from None


def _network4(address: int, bits: int) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network((address >> (32 - bits) << (32 - bits), bits))


def _network6(address: int, bits: int) -> Network:
    """The IPv6 network; an IPv4-mapped one as IPv4, because such clients count as IPv4 (§5)."""
    if bits >= _MAPPED_BITS and address >> 32 == _MAPPED:
        return _network4(address & 0xFFFFFFFF, bits - _MAPPED_BITS)
    return ipaddress.IPv6Network((address >> (128 - bits) << (128 - bits), bits))


def _bits(digits: str | None, most: int) -> int:
    if digits is None:
        return most
    if int(digits) > most:
        raise ValueError(f"/{digits} is longer than the {most} bits of an address")
    return int(digits)


_READERS = {
    "all": _all,
    "include": _named,
    "exists": _named,
    "ptr": _ptr,
    "a": _addressed,
    "mx": _addressed,
    "ip4": _ip,
    "ip6": _ip,
}


def _modifier(word: str, name: str, value: str) -> Modifier:
    if name in ("redirect", "exp"):
        return Modifier(word, name, macros.parse_domain_spec(value))
    macros.parse(value, macros.EXPLANATION_LETTERS)
    return Modifier(word, name)


def _repeated(terms: Iterable[Term]) -> list[Problem]:
    """The problems of repeated redirect and exp modifiers; others may be repeated (§6)."""
    seen: set[str] = set()
    problems = []
    for term in terms:
        if isinstance(term, Modifier) and term.target:
            if term.name in seen:
                reason = f"{term.name} appears more than once"
                problems.append(Problem("modifier_repeated", term.text, reason))
            seen.add(term.name)
    return problems

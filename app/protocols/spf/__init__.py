"""SPF records: which TXT values are one, and what its terms say (RFC 7208)."""

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
    """What a directive makes of mail that its mechanism matches (§4.6.2)."""

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
    target     the domain it names; None for the domain of the record
    network    of ip4 and ip6
    cidr4, cidr6  how many bits of an address of a and mx must be equal
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
        """It counts among the ten (§4.6.4)."""
        return self.mechanism in LOOKUP_MECHANISMS

    @property
    def lookups(self) -> int:
        """How many of the ten it costs by itself; a macro p costs one more (§4.6.4)."""
        return self.is_lookup + bool(self.target and "p" in self.target.letters)


@dataclass(frozen=True, slots=True)
class Modifier:
    """``name=value``; ``target`` is there for redirect and exp, others are ignored (§6)."""

    text: str
    name: str
    target: DomainSpec | None = None


Term = Directive | Modifier


@dataclass(frozen=True, slots=True)
class Problem:
    """A term for which the record is a permerror."""

    kind: Literal["syntax_error", "unknown_mechanism", "modifier_repeated"]
    term: str
    reason: str


class NotSpf(ValueError):
    """The text does not begin with ``v=spf1``: a receiver sees no SPF record."""


class BadRecord(ValueError):
    """A receiver's result is permerror, whoever sends (§4.6). ``problems`` has every bad term."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{problem.term}: {problem.reason}" for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Record:
    """One readable SPF record: its terms, in order, and what follows from them.

    directives  all, those behind ``all`` too
    effective   those up to the first ``all``; none behind it is ever tested (§5.1)
    all         the first ``all``
    redirect    where it has an effect: there is no ``all`` (§6.1)
    lookups     how many of the ten it costs, without what is below (§4.6.4)
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
    """Whether a receiver takes the TXT value for an SPF record (§4.5)."""
    return text.partition(" ")[0].lower() == VERSION


def parse_record(text: str) -> Record:
    """Read one TXT value as a receiver reads it: all of it before any term is looked at (§4.6).

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


def words(text: str) -> list[str]:
    """The terms of a record as they are written, without the version."""
    return [word for word in text.split(" ")[1:] if word]


@memoize.for_short_texts
def parse_term(word: str) -> Term | Problem:
    """Read one term of a record.

    source  §4.6.1: what has ``=`` behind a name is a modifier, all else a directive
    """
    try:
        if found := _MODIFIER.fullmatch(word):
            return _modifier(word, found[1].lower(), found[2])
        if found := _DIRECTIVE.fullmatch(word):
            qualifier, name, rest = _QUALIFIERS[found[1] or "+"], found[2].lower(), found[3]
            if reader := _READERS.get(name):
                return reader(word, qualifier, name, rest)
            return Problem("unknown_mechanism", word, f"{found[2]} is no mechanism")
        raise ValueError("it is neither a mechanism nor a modifier")
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
        raise ValueError("all takes no value")
    return Directive(word, qualifier, name)


def _named(word: str, qualifier: Qualifier, name: str, rest: str) -> Directive:
    if not rest.startswith(":"):
        raise ValueError(f"{name} needs a domain")
    return Directive(word, qualifier, name, macros.parse_domain_spec(rest[1:]))


def _ptr(word: str, qualifier: Qualifier, name: str, rest: str) -> Directive:
    return _named(word, qualifier, name, rest) if rest else Directive(word, qualifier, name)


def _addressed(word: str, qualifier: Qualifier, name: str, rest: str) -> Directive:
    """``a`` and ``mx`` (§5.3, §5.4)."""
    found = _DUAL_CIDR.fullmatch(rest)
    if found is None:
        raise ValueError("it cannot be read")
    spec, cidr4, cidr6 = found.groups()
    if spec and not spec.startswith(":"):
        raise ValueError(f"{spec} is no prefix length")
    target = macros.parse_domain_spec(spec[1:]) if spec else None
    return Directive(*(word, qualifier, name, target), None, _bits(cidr4, 32), _bits(cidr6, 128))


def _ip(word: str, qualifier: Qualifier, name: str, rest: str) -> Directive:
    """``ip4`` and ``ip6`` (§5.6)."""
    found = _CIDR.fullmatch(rest[1:])
    if not rest.startswith(":") or found is None or not found[1]:
        raise ValueError(f"{name} needs an address")
    if "%" in found[1] or "/" in found[1]:
        raise ValueError(f"{rest[1:]} is no address with a prefix length")
    if name == "ip4":
        network: Network = _network4(_octets(AF_INET, found[1]), _bits(found[2], 32))
    else:
        network = _network6(_octets(AF_INET6, found[1]), _bits(found[2], 128))
    return Directive(word, qualifier, name, network=network)


def _octets(family: int, text: str) -> int:
    """The address as a number, by the library of C: ``ipaddress`` reads the same, but slower."""
    try:
        return int.from_bytes(inet_pton(family, text))
    except (OSError, UnicodeEncodeError, ValueError):
        version = 4 if family == AF_INET else 6
        raise ValueError(f"{text} is no IPv{version} address") from None


def _network4(address: int, bits: int) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network((address >> (32 - bits) << (32 - bits), bits))


def _network6(address: int, bits: int) -> Network:
    """An IPv4-mapped one as the IPv4 network that it is: such clients count as IPv4 (§5)."""
    if bits >= _MAPPED_BITS and address >> 32 == _MAPPED:
        return _network4(address & 0xFFFFFFFF, bits - _MAPPED_BITS)
    return ipaddress.IPv6Network((address >> (128 - bits) << (128 - bits), bits))


def _bits(digits: str | None, most: int) -> int:
    if digits is None:
        return most
    if int(digits) > most:
        raise ValueError(f"/{digits} is more than the {most} bits of an address")
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
    """§6: redirect and exp must not appear twice; others may."""
    seen: set[str] = set()
    problems = []
    for term in terms:
        if isinstance(term, Modifier) and term.target:
            if term.name in seen:
                reason = f"{term.name} appears more than once"
                problems.append(Problem("modifier_repeated", term.text, reason))
            seen.add(term.name)
    return problems

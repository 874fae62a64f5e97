"""The record that a malformed SPF record was evidently meant to be.

Nothing is guessed: each word becomes the terms that it evidently names, or there is no result. The
result allows no sender that the text does not name, and it never ends in a weaker ``all``.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence

from app.protocols import repair, spf
from app.protocols.spf import Directive, Modifier, Problem, Qualifier

_PASTED = re.compile("[\\s\\\\\"'`\u2018\u2019\u201c\u201d\u00a0\u200b-\u200f\u2060\ufeff]+")
_DASHES = re.compile("[\u2010-\u2015\u2212]")  # of word processors
_TERMS = r"(?:all|include|a|mx|ptr|ip4|ip6|ipv4|ipv6|exists|redirect)"
_VERSION = re.compile(
    rf"(?:v ?[=:]* ?|= ?)?spf ?(?:v?10?)?(?:[ :;,]+|$|(?=[+?~-]?{_TERMS}(?:[ :=/,;]|$)))",
    re.ASCII | re.IGNORECASE,
)
_BARE = re.compile(rf"(?:v ?[:]? ?|= ?)?spf1[ :;,]+[+?~-]?{_TERMS}(?:[ :=/,;]|$)", re.IGNORECASE)
_CLAIM = re.compile(r"v ?= ?spf", re.ASCII | re.IGNORECASE)
_COMMA = re.compile(r"[,;](?![^{,;]*\})")  # not in a macro
_PARTS = re.compile(r"([+?~-]?)([a-z][a-z0-9]*)([:=])(.+)", re.ASCII | re.IGNORECASE)
_GLUED_ALL = re.compile(r"(.+?)([+?~-]all)", re.ASCII | re.DOTALL | re.IGNORECASE)
_GLUED_TERM = re.compile(
    r"(.+?)((?:ip4|ip6|include|exists):.+)", re.ASCII | re.DOTALL | re.IGNORECASE
)
_NAME = re.compile(r"[+?~-]?([a-z]++)(.*)", re.ASCII | re.DOTALL | re.IGNORECASE)
_HOST = re.compile(r"(?:[a-z]+://)?([a-z0-9_-]+(?:\.[a-z0-9_-]+)+)\.?/?", re.ASCII | re.IGNORECASE)
_ADDRESS_NAMES = ("ip", "ip4", "ip6", "ipv4", "ipv6", "a", "mx", "include")
_HOST_NAMES = ("include", "a", "mx", "exists", "redirect")
_MISSPELLED_NAMES = ("include", "exists", "redirect")  # long enough to recognize
MAX_GLUED = 4  # terms that are written without a blank between them


def is_attempt(text: str) -> bool:
    """Whether the text was meant as an SPF record, even if receivers do not recognize it."""
    plain = _plain(text)
    return bool(_CLAIM.match(plain) or _BARE.match(plain))


def repaired(text: str) -> str | None:
    """The valid record that the text was meant to be; None if its meaning is not evident."""
    plain = _plain(text)
    version = _VERSION.match(plain)
    if version is None:
        return None
    terms: list[str] = []
    for word in _words(plain[version.end() :].split(" ")):
        evident = _terms(word, MAX_GLUED)
        if evident is None:
            return None
        terms += evident
    ordered = _with_all_last(terms)
    if ordered is None:
        return None
    record = " ".join((spf.VERSION, *ordered))
    try:
        spf.parse_record(record)
    except spf.BadRecord:
        return None
    return record


def corrected(text: str) -> str | None:
    """The text itself if it is a valid record without a mistake, else ``repaired``."""
    try:
        terms = spf.parse_record(text).terms
    except (spf.NotSpf, spf.BadRecord):
        return repaired(text)
    has_mistake = any(isinstance(term, Modifier) and intended(term) for term in terms)
    return repaired(text) if has_mistake else text


def is_mistaken(modifier: Modifier) -> bool:
    """Whether an unknown modifier, which receivers ignore, has the name of another term."""
    return modifier.target is None and _intended_name(modifier.name) is not None


def intended(modifier: Modifier) -> str | None:
    """The term that an unknown modifier was evidently meant to be: ``ip4:`` for ``ip4=``.

    returns  None if the name or the value is not that of another term
    """
    name, value = _intended_name(modifier.name), modifier.text.partition("=")[2]
    if modifier.target is not None or name is None:
        return None
    network, host = _network(value), _host(value)
    if network and name in _ADDRESS_NAMES:
        return f"ip{network.version}:{value}"
    if not host or name not in _HOST_NAMES:
        return None
    term = f"{name}={host}" if name == "redirect" else f"{name}:{host}"
    return term if _is_valid(term) else None


def _intended_name(name: str) -> str | None:
    if name in spf.MECHANISMS or name in _ADDRESS_NAMES:
        return name
    return repair.choice(name, _MISSPELLED_NAMES)


def _plain(text: str) -> str:
    return _DASHES.sub("-", _PASTED.sub(" ", text)).strip()


def _words(words: Sequence[str]) -> Iterator[str]:
    """The words, with those joined that a blank divides: ``- all`` and ``ip4: 192.0.2.1``."""
    rest = [part for word in words for part in _divided(word) if part]
    at = 0
    while at < len(rest):
        word, following = rest[at], rest[at + 1] if at + 1 < len(rest) else ""
        is_all = word in ("+", "-", "~", "?") and following.lower() == "all"
        is_value = word.endswith((":", "=")) and bool(_network(following) or _host(following))
        yield word + following if is_all or is_value else word
        at += 2 if is_all or is_value else 1


def _divided(word: str) -> list[str]:
    """The parts of a list with commas; a valid term stays as it is."""
    return [word] if _is_valid(word) else _COMMA.split(word)


def _terms(word: str, depth: int) -> list[str] | None:
    """The valid terms that the word evidently stands for; None if it is not evident."""
    parsed = spf.parse_term(word)
    if not isinstance(parsed, Problem):
        return [(isinstance(parsed, Modifier) and intended(parsed)) or word]
    if (term := _address_term(word) or _host_term(word) or _misspelled(word)) is not None:
        return [term]
    for match in (_GLUED_ALL.fullmatch(word), _GLUED_TERM.fullmatch(word)) if depth else ():
        if match:
            first, second = (_terms(match[part], depth - 1) for part in (1, 2))
            if first and second:
                return first + second
    return None


def _address_term(word: str) -> str | None:
    """``ip4`` or ``ip6`` for an address that has another mechanism, or none."""
    match = _PARTS.fullmatch(word)
    if not _network(word) and match and match[2].lower() in _ADDRESS_NAMES and match[3] == ":":
        qualifier, value = match[1], match[4]
    else:
        is_qualified = word.startswith(tuple(Qualifier))
        qualifier, value = (word[:1], word[1:]) if is_qualified else ("", word)
    network = _network(value)
    return f"{qualifier}ip{network.version}:{value}" if network else None


def _host_term(word: str) -> str | None:
    """A domain without the scheme of a URL, and ``redirect`` with ``=``."""
    match = _PARTS.fullmatch(word)
    if match is None or match[2].lower() not in _HOST_NAMES:
        return None
    name, host = match[2].lower(), _host(match[4])
    sign = "=" if name == "redirect" else ":"
    term = f"{match[1]}{name}{sign}{host}"
    return term if host and _is_valid(term) else None


def _misspelled(word: str) -> str | None:
    """The mechanism that a misspelled name evidently means; never ``all`` that allows everyone."""
    plain = word.rstrip(".:")
    match = _NAME.fullmatch(plain)
    name = repair.choice(match[1], spf.MECHANISMS) if match else None
    if match is None or name is None or len(match[1]) < len("al"):
        return None
    qualifier = plain[: match.start(1)]
    term = f"{qualifier}{name}{match[2]}"
    if name == "all":
        return term if qualifier in ("-", "~", "?") and not match[2] else None
    return term if match[2] and name != match[1].lower() and _is_valid(term) else None


def _with_all_last(terms: Sequence[str]) -> list[str] | None:
    """The terms, with those before ``all`` that follow it; None if their order matters."""
    parsed = [spf.parse_term(term) for term in terms]
    ends = [
        at
        for at, term in enumerate(parsed)
        if isinstance(term, Directive) and term.mechanism == "all"
    ]
    if not ends:
        return list(terms)
    late = [term for term in parsed[ends[0] + 1 :] if isinstance(term, Directive)]
    if len(ends) > 1 or any(term.qualifier is not Qualifier.PASS for term in late):
        return None
    if not late:
        return list(terms)
    end = terms[ends[0]]
    modifiers = [item.text for item in parsed if isinstance(item, Modifier)]
    return [*(term for term in terms if term != end and term not in modifiers), end, *modifiers]


def _is_valid(word: str) -> bool:
    return not isinstance(spf.parse_term(word), Problem)


def _network(text: str) -> spf.Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _host(text: str) -> str | None:
    """The domain name in the text, without the scheme of a URL; None for an address or a term."""
    match = _HOST.fullmatch(text)
    return match[1] if match and not _network(match[1]) else None

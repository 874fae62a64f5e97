"""Domain names: validation, normalization, and the names that the DMARC tree walk visits.

Names with underscores (``_dmarc.example.org``) own records but are not domains: they are ``str``.
"""

import ipaddress
import re
import unicodedata
from typing import NewType

import idna

from app.protocols import public_suffix

DomainName = NewType("DomainName", str)

MAX_NAME, MAX_LABEL = 253, 63  # octets without the final dot (RFC 1035 §2.3.4)
_MAX_TEXT = 1000  # longer texts are rejected without normalizing them

_REASONS = {
    "empty": "The name is empty",
    "empty_label": "The name has an empty label: remove the extra dot",
    "label_too_long": "A label of the name is longer than 63 characters",
    "name_too_long": "The name is longer than 253 characters",
    "single_label": "Enter a full domain, such as example.com",
    "ip_address": "This is an IP address, not a domain name",
    "wildcard": "A wildcard is not a domain name",
    "underscore": "A name with an underscore is not a domain name",
    "hyphen": "A label begins or ends with a hyphen",
    "reserved_label": "A label with hyphens as third and fourth character is reserved",
    "invalid_character": "Enter a domain such as example.com, without https:// or a path",
    "control_character": "The name contains a control, bidirectional or invisible character",
    "bad_idna": "A label of the name is not valid under IDNA 2008",
    "special_use": "The name is reserved for special use and cannot be registered",
    "public_suffix": "This is a public suffix. Enter a domain below it",
}

# IANA's special-use registry (RFC 6761 and later), without names below these.
_SPECIAL_USE = frozenset(
    (
        *("test", "example", "invalid", "localhost", "local", "onion", "alt", "internal", "arpa"),
        *("example.com", "example.net", "example.org"),
    )
)

_LDH = re.compile(r"[a-z0-9-]+")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_JOINERS = "\u200c\u200d"  # of category Cf, but allowed by IDNA 2008 in context (RFC 5892 §A)


class NotADomain(ValueError):
    """The text is not a domain name; ``code`` is the reason for programs, ``reason`` for people."""

    def __init__(self, code: str) -> None:
        super().__init__(_REASONS[code])
        self.code, self.reason = code, _REASONS[code]


def parse(text: str, *, allow_special_use: bool = False) -> DomainName:
    """The normalized name of a domain that can be registered.

    text     as typed: U-labels, upper case, a final dot and surrounding spaces are allowed
    returns  A-labels in lower case without a final dot; at least two labels
    raises   NotADomain
    source   RFC 5891, UTS #46 (non-transitional, strict), RFC 6761
    """
    name = parse_host(text)
    if not allow_special_use and is_special_use(name):
        raise NotADomain("special_use")
    if "." not in name:
        raise NotADomain("single_label")
    if public_suffix.is_public_suffix(name):
        raise NotADomain("public_suffix")
    return name


def parse_host(text: str) -> DomainName:
    """The host name, normalized like ``parse``; TLDs, suffixes and special-use names are allowed.

    raises  NotADomain
    """
    name = _remapped(text.strip(" \t\r\n")).removesuffix(".")
    if not name:
        raise NotADomain("empty")
    if _is_address(name):
        raise NotADomain("ip_address")
    if "*" in name:
        raise NotADomain("wildcard")
    if "_" in name:
        raise NotADomain("underscore")
    labels = name.split(".")
    if not name.isascii():
        _check_bidi(labels)
    name = ".".join(map(_a_label, labels))
    if len(name) > MAX_NAME:
        raise NotADomain("name_too_long")
    return DomainName(name)


def is_special_use(name: str) -> bool:
    """Whether the name is reserved for special use, or is below such a name (RFC 6761)."""
    labels = name.split(".")
    return labels[-1] in _SPECIAL_USE or ".".join(labels[-2:]) in _SPECIAL_USE


def is_below(name: str, parent: str) -> bool:
    """Whether ``name`` is a subdomain of ``parent`` at any depth; a name is not below itself."""
    return name.endswith(f".{parent}")


def unicode_name(domain: str) -> str:
    """The name with U-labels, for display with the A-labels; underscored labels are unchanged."""
    if "xn--" not in domain:
        return domain
    return ".".join(map(_u_label, domain.split(".")))


def has_mixed_scripts(domain: str) -> bool:
    """Whether a label mixes scripts like a look-alike name does (UTS #39)."""
    if "xn--" not in domain:
        return False  # ASCII is Latin
    return any(not _is_written_together(label) for label in unicode_name(domain).split("."))


def walk(domain: str) -> tuple[DomainName, ...]:
    """The names that the DMARC tree walk queries, in order, ``domain`` first.

    returns  1 to 8 names, the last being the TLD; from 8 labels on, the walk skips to the last 7
    source   RFC 9989 §4.10
    """
    labels = domain.split(".")
    counts = (len(labels), *range(min(len(labels) - 1, 7), 0, -1))
    return tuple(DomainName(".".join(labels[-count:])) for count in counts)


def _remapped(text: str) -> str:
    """The text in lower case, with full stops and letters mapped as in UTS #46."""
    if len(text) > _MAX_TEXT:
        raise NotADomain("name_too_long")
    if not text.isprintable() or not text.isascii():
        _check_visible(text)
    if text.isascii():
        return text.lower()
    try:
        return idna.uts46_remap(text, std3_rules=False, transitional=False)
    except UnicodeError:
        raise NotADomain("invalid_character") from None


def _check_visible(text: str) -> None:
    for character in text:
        if character in _JOINERS or character == " ":
            continue
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            raise NotADomain("control_character")
        if not character.isascii() and _is_invisible(character):
            raise NotADomain("control_character")


def _is_invisible(character: str) -> bool:
    """Whether UTS #46 drops the character, so that two spellings would be the same name."""
    try:
        return not idna.uts46_remap(character, std3_rules=False, transitional=False)
    except UnicodeError:
        return False


def _is_address(name: str) -> bool:
    """Whether the name is an IP address as inet_aton or a browser reads it; no TLD is a number."""
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return True
    try:
        ipaddress.IPv6Address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _check_bidi(labels: list[str]) -> None:
    """Check the bidi rule, which one right-to-left label imposes on all labels (RFC 5893 §2)."""
    if any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for label in labels for c in label):
        try:
            for label in filter(None, labels):  # an empty label is rejected later
                idna.check_bidi(label, check_ltr=True)
        except UnicodeError:
            raise NotADomain("bad_idna") from None


def _a_label(label: str) -> str:
    if not label:
        raise NotADomain("empty_label")
    if not label.isascii():
        return _encoded(label)
    if not _LDH.fullmatch(label):
        raise NotADomain("invalid_character")
    if len(label) > MAX_LABEL:
        raise NotADomain("label_too_long")
    if label.startswith("-") or label.endswith("-"):
        raise NotADomain("hyphen")
    if label.startswith("xn--"):
        return _reencoded(label)
    if label[2:4] == "--":
        raise NotADomain("reserved_label")
    return label


def _encoded(label: str) -> str:
    if len(label.encode("punycode")) > MAX_LABEL - len("xn--"):
        raise NotADomain("label_too_long")
    try:
        return idna.alabel(label).decode("ascii")
    except UnicodeError:
        raise NotADomain("bad_idna") from None


def _reencoded(label: str) -> str:
    try:
        if idna.alabel(idna.ulabel(label)) == label.encode("ascii"):
            return label
    except UnicodeError:
        pass
    raise NotADomain("bad_idna")


def _u_label(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return idna.ulabel(label)
    except UnicodeError:
        return label


_TOGETHER = (  # UTS #39 §5.1: what East Asian languages mix
    {"LATIN", "CJK", "HIRAGANA", "KATAKANA"},
    {"LATIN", "CJK", "BOPOMOFO"},
    {"LATIN", "CJK", "HANGUL"},
)


def _is_written_together(label: str) -> bool:
    scripts = {unicodedata.name(c, "?").split(" ")[0] for c in label if c.isalpha()}
    scripts -= {"KATAKANA-HIRAGANA", "MODIFIER"}
    return len(scripts) < 2 or any(scripts <= together for together in _TOGETHER)

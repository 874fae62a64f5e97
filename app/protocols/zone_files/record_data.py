"""The data of one record in the presentation format of its type (RFC 1035 §5.1)."""

import re
from collections.abc import Callable, Mapping, Sequence
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import NamedTuple

from app.protocols.zone_files.types import InvalidData

MAX_STRING = 255  # octets of one character-string (RFC 1035 §3.3.14)
MAX_NAME, MAX_LABEL = 253, 63
MAX_TTL = 2**31 - 1  # RFC 2181 §8
_ESCAPE = re.compile(r"\\([0-9]{3}|.)", re.DOTALL)
_HEXADECIMAL = re.compile(r"(?:[0-9a-f]{2})+", re.IGNORECASE)
_DURATION = re.compile(r"([0-9]{1,10})([smhdw]?)", re.IGNORECASE)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PRINTABLE = re.compile(r"[!-~]+")

# Types whose data no check reads; only the existence of their names counts.
OTHER_TYPES = frozenset(
    (
        *("SRV", "HTTPS", "SVCB", "SSHFP", "NAPTR", "LOC", "HINFO", "RP", "URI", "CERT", "SMIMEA"),
        *("OPENPGPKEY", "DS", "DNSKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "CDS", "CDNSKEY"),
        *("ZONEMD", "CSYNC", "DHCID", "AFSDB"),
    )
)
REFUSED_TYPES: Mapping[str, str] = {
    name: f"{name} is not a DNS record type. Write the A and AAAA records that it resolves to"
    for name in ("ALIAS", "ANAME", "URLFWD")
} | {"DNAME": "DNAME records are not supported. Write the records of the names below it"}


class Token(NamedTuple):
    """One word or quoted string of a line; its escapes are not decoded."""

    text: str
    is_quoted: bool = False


def parse(rdtype: str, tokens: Sequence[Token], origin: str) -> tuple[str, ...]:
    """Return the fields of the record.

    origin  appended to relative host names
    raises  InvalidData
    """
    if tokens[:1] == [Token("\\#")]:
        raise InvalidData(f"write the {rdtype} record in its own form, not with \\#")
    if reader := _READERS.get(rdtype):
        return reader(tokens, origin)
    if rdtype in OTHER_TYPES:
        if not tokens:
            raise InvalidData(f"the {rdtype} record has no data")
        return tuple(token.text for token in tokens)
    raise InvalidData(REFUSED_TYPES.get(rdtype) or f"unknown record type {rdtype[:20]!r}")


def is_type(word: str) -> bool:
    """Return whether the word is a record type, supported or not."""
    return word in _READERS or word in OTHER_TYPES or word in REFUSED_TYPES


def absolute_name(text: str, origin: str) -> str:
    """Return the name in lower case without a final dot; "" is the root.

    raises  InvalidData
    """
    if text == "@":
        return origin
    if not text.isascii():
        raise InvalidData("write internationalized names in their ASCII form (xn--…)")
    if not _PRINTABLE.fullmatch(text) or "\\" in text:
        raise InvalidData(f"{text[:80]!r} is not a domain name that can be checked")
    name = text.lower()
    if name.endswith("."):
        name = name[:-1]
    elif origin:
        name = f"{name}.{origin}"
    if len(name) > MAX_NAME:
        raise InvalidData("a name is longer than 253 characters")
    if name and not all(0 < len(label) <= MAX_LABEL for label in name.split(".")):
        raise InvalidData(f"{text[:80]!r} has a label that is empty or longer than 63 characters")
    return name


def decoded(text: str) -> bytes:
    """Return the bytes of a word or quoted string, with escapes decoded.

    raises  InvalidData
    """
    parts, end = [], 0
    for match in _ESCAPE.finditer(text):
        parts.append(text[end : match.start()].encode("utf-8", "surrogatepass"))
        end, escaped = match.end(), match[1]
        if len(escaped) == 3:
            if int(escaped) > 255:
                raise InvalidData(f"\\{escaped} is not a byte: the largest is \\255")
            parts.append(bytes((int(escaped),)))
        else:
            parts.append(escaped.encode("utf-8", "surrogatepass"))
    parts.append(text[end:].encode("utf-8", "surrogatepass"))
    return b"".join(parts)


def seconds(text: str) -> int:
    """Return a TTL in seconds: a number, or numbers with units such as ``1h30m``.

    raises  InvalidData
    """
    total, end = 0, 0
    for match in _DURATION.finditer(text[:40]):
        if match.start() != end or (not match[2] and match[0] != text):
            break
        total, end = total + int(match[1]) * _UNITS[match[2].lower()], match.end()
    if not text or end != len(text) or total > MAX_TTL:
        raise InvalidData(f"{text[:40]!r} is not a time in seconds up to {MAX_TTL}")
    return total


def _texts(tokens: Sequence[Token], rdtype: str, *counts: int) -> list[str]:
    if len(tokens) not in counts:
        expected = " or ".join(map(str, counts))
        raise InvalidData(f"a {rdtype} record has {expected} fields, not {len(tokens)}")
    return [token.text for token in tokens]


def _number(text: str, highest: int) -> str:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= highest):
        raise InvalidData(f"{text[:40]!r} is not a number from 0 to {highest}")
    return str(int(text))


def _address(rdtype: str, family: int) -> "Reader":
    def read(tokens: Sequence[Token], _origin: str) -> tuple[str, ...]:
        [text] = _texts(tokens, rdtype, 1)
        try:
            return (inet_ntop(family, inet_pton(family, text)),)
        except (OSError, ValueError):
            version = 4 if family == AF_INET else 6
            raise InvalidData(f"{text[:80]!r} is not an IPv{version} address") from None

    return read


def _host(rdtype: str) -> "Reader":
    def read(tokens: Sequence[Token], origin: str) -> tuple[str, ...]:
        [text] = _texts(tokens, rdtype, 1)
        return (absolute_name(text, origin),)

    return read


def _mx(tokens: Sequence[Token], origin: str) -> tuple[str, ...]:
    preference, host = _texts(tokens, "MX", 2)
    return _number(preference, 65535), absolute_name(host, origin)


def _soa(tokens: Sequence[Token], origin: str) -> tuple[str, ...]:
    mname, rname, serial, *times = _texts(tokens, "SOA", 7)
    is_escaped = "\\" in rname  # a mailbox with a dot, such as john\.doe.example.com.
    mailbox = rname.lower().removesuffix(".") if is_escaped else absolute_name(rname, origin)
    return (
        absolute_name(mname, origin),
        mailbox,
        _number(serial, 2**32 - 1),
        *(str(seconds(text)) for text in times),
    )


def _tlsa(tokens: Sequence[Token], _origin: str) -> tuple[str, ...]:
    if len(tokens) < 4:
        raise InvalidData(f"a TLSA record has 4 fields, not {len(tokens)}")
    numbers = [_number(token.text, 255) for token in tokens[:3]]
    data = "".join(token.text for token in tokens[3:])
    if not _HEXADECIMAL.fullmatch(data):
        raise InvalidData("the data of a TLSA record is hexadecimal, with two digits for each byte")
    return (*numbers, data.lower())


def _caa(tokens: Sequence[Token], _origin: str) -> tuple[str, ...]:
    flags, tag, value = _texts(tokens, "CAA", 3)
    if not (tag.isascii() and tag.isalnum()):
        raise InvalidData(f"{tag[:40]!r} is not a CAA tag")
    return _number(flags, 255), tag, decoded(value).decode("utf-8", "backslashreplace")


def _strings(tokens: Sequence[Token]) -> list[bytes]:
    strings = [decoded(token.text) for token in tokens]
    if not strings:
        raise InvalidData("a TXT record has at least one string")
    if any(len(string) > MAX_STRING for string in strings):
        raise InvalidData(
            "a string is longer than 255 bytes. Divide it into several quoted strings"
        )
    if sum(map(len, strings)) + len(strings) > 65535:
        raise InvalidData("the record is longer than 65535 bytes")
    return strings


def _txt(tokens: Sequence[Token], _origin: str) -> tuple[str, ...]:
    return (b"".join(_strings(tokens)).decode("utf-8", "backslashreplace"),)


Reader = Callable[[Sequence[Token], str], tuple[str, ...]]
_READERS: Mapping[str, Reader] = {
    "A": _address("A", AF_INET),
    "AAAA": _address("AAAA", AF_INET6),
    "MX": _mx,
    "TXT": _txt,
    "SPF": _txt,
    "NS": _host("NS"),
    "CNAME": _host("CNAME"),
    "PTR": _host("PTR"),
    "SOA": _soa,
    "CAA": _caa,
    "TLSA": _tlsa,
}

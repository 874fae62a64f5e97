"""The values in an aggregate report: validation and normalization.

Most values recur within a report and across reports, so tables cache the results.
"""

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Generic, TypeVar

from app.protocols import names
from app.protocols.report_formats.limits import Limits, ReportRejected

MAX_KNOWN = 10_000  # values in a table before it is cleared
MAX_WARNINGS = 20
MAX_WORD = 64

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}")
_MAPPED, _COMPATIBLE = bytes(10) + b"\xff\xff", bytes(12)  # the first 96 bits of ::ffff:0:0, ::
_NUMBER = re.compile(r"([0-9]{1,20})(\.0{1,20})?")
# Digits in groups of three, except a single group that is zero after a comma or a dot.
_GROUPED = re.compile(
    r"([0-9]{1,3})"
    r"((?:,[0-9]{3}){2,5}|,(?!000)[0-9]{3}|(?:\.[0-9]{3}){2,5}"
    r"|(?:[ \u00a0\u202f'\u2019][0-9]{3}){1,5})"
)
_TAG, _ZONE = r"(?:(?i:ipv[46]):)?", r"(?:%[0-9A-Za-z_.-]{1,32})?"
_DECORATED = re.compile(
    rf"{_TAG}\[{_TAG}(?P<bracketed>[0-9A-Fa-f:.]{{2,45}}){_ZONE}\](?::[0-9]{{1,5}})?"
    rf"|{_TAG}(?P<v4>[0-9.]{{7,15}})(?::[0-9]{{1,5}}|/32)?"
    rf"|{_TAG}(?P<v6>[0-9A-Fa-f:.]{{2,45}}){_ZONE}(?:/128)?"
)
_UNPRINTED = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_SPACES = re.compile(r"\s+")

Key = TypeVar("Key")
Value = TypeVar("Value")


class Table(dict[Key, Value], Generic[Key, Value]):
    """A cache of the results of one function by its argument."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[Key], Value]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: Key) -> Value:
        value = self[key] = self._make(key)
        if len(self) > MAX_KNOWN:
            self.clear()
        return value


class Warnings:
    """The parser warnings of one report: each once, and at most ``MAX_WARNINGS``."""

    __slots__ = ("_said",)

    def __init__(self) -> None:
        self._said: dict[str, None] = {}

    def add(self, code: str, subject: str = "") -> None:
        """Add a warning, unless it is a duplicate or the limit is reached.

        code     a code of ``deviations.WARNINGS``
        subject  the member or header field that its text names
        """
        if len(self._said) < MAX_WARNINGS:
            self._said[f"{code}:{subject}" if subject else code] = None

    def all(self) -> tuple[str, ...]:
        """The warnings in the order in which they occurred."""
        return tuple(self._said)


def text(value: str) -> str:
    """The text on one line, without control characters."""
    value = value.strip()
    if value.isprintable():
        return value
    return _UNPRINTED.sub("", _SPACES.sub(" ", value))


def number(value: str, what: str, limits: Limits) -> int:
    """The whole number in ASCII digits; a trailing ``.0`` is ignored.

    raises  ReportRejected
    """
    match = _NUMBER.fullmatch(value.strip())
    if not match:
        raise ReportRejected("bad_number", f"{what} is not a whole number")
    if (whole := int(match[1])) > limits.integer:
        raise ReportRejected("bad_number", f"{what} is larger than {limits.integer}")
    return whole


def count(value: str, limits: Limits, warnings: Warnings) -> int:
    """The number of messages; thousands separators are read if they can mean nothing else.

    ``1,000`` may also be 1 with a decimal comma, and ``1.024`` is no whole number.

    raises  ReportRejected
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return number(text, "count", limits)
    if grouped := _GROUPED.fullmatch(text):
        text = f"{grouped[1]}{re.sub('[^0-9]', '', grouped[2])}"
        warnings.add("count_format")
    return number(text, "count", limits)


def check_period(begin: int, end: int, now: int, limits: Limits) -> None:
    """Check that a report may cover this period.

    raises  ReportRejected
    """
    if not 0 <= begin <= end:
        raise ReportRejected("bad_dates", "the report period begins after its end")
    if end > now + limits.future_seconds:
        raise ReportRejected("bad_dates", "the report period ends in the future")
    if end - begin > limits.span_seconds:
        raise ReportRejected(
            "bad_dates", f"the report covers more than {limits.span_seconds // 86400} days"
        )


def address(value: str) -> str:
    """The IP address in canonical form (RFC 5952); an IPv4-mapped address as IPv4.

    raises  ReportRejected
    """
    value = value.strip()
    if _IPV4.fullmatch(value):
        return value
    try:  # the socket module parses and formats five times as fast as ipaddress
        packed = inet_pton(AF_INET6, value if _IPV6.fullmatch(value) else "")
    except OSError:
        raise ReportRejected("bad_source_ip", "source_ip is not an IP address") from None
    if packed.startswith(_MAPPED):
        return inet_ntop(AF_INET, packed[len(_MAPPED) :])
    if packed.startswith(_COMPATIBLE):  # which inet_ntop writes with dots
        return str(ipaddress.IPv6Address(packed))
    return inet_ntop(AF_INET6, packed)


def decorated_address(value: str, warnings: Warnings) -> str:
    """The IP address in a text that also has a port, brackets, a zone, a tag or a prefix length.

    raises  ReportRejected
    """
    match = _DECORATED.fullmatch(value.strip())
    if match is None:
        return address(value)
    plain = match["bracketed"] or match["v4"] or match["v6"]
    if plain != value.strip():
        warnings.add("source_ip_format")
    return address(plain)


@lru_cache(maxsize=4096)
def host(value: str) -> str | None:
    """The normalized domain name; None if the text is not a domain name."""
    try:
        return names.parse_host(value)
    except names.NotADomain:
        return None


def word(value: str) -> str:
    """The text as a keyword in lower case."""
    return text(value).lower()[:MAX_WORD]

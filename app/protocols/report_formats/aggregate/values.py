"""The values in an aggregate report: what each may be, and what is made of it.

Most values come again, in a report and in others, so that tables remember what was made of them.
"""

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Generic, TypeVar

from app.protocols import names
from app.protocols.report_formats.limits import Limits, ReportRejected

MAX_KNOWN = 10_000  # values that a table remembers, then it forgets all
MAX_WARNINGS = 20
MAX_WORD = 64

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}")
_NUMBER = re.compile(r"([0-9]{1,20})(\.0{1,20})?")
_UNPRINTED = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_SPACES = re.compile(r"\s+")

Key = TypeVar("Key")
Value = TypeVar("Value")


class Table(dict[Key, Value], Generic[Key, Value]):
    """What is made of each value, made once as long as it is remembered."""

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
    """What was tolerated, each once, and not more than can be read."""

    __slots__ = ("_said",)

    def __init__(self) -> None:
        self._said: dict[str, None] = {}

    def add(self, warning: str) -> None:
        """Say it, unless it was said or there are enough."""
        if len(self._said) < MAX_WARNINGS:
            self._said[warning] = None

    def all(self) -> tuple[str, ...]:
        """In the order in which they came up."""
        return tuple(self._said)


def text(value: str) -> str:
    """The text on one line, without control characters."""
    value = value.strip()
    if value.isprintable():
        return value
    return _UNPRINTED.sub("", _SPACES.sub(" ", value))


def number(value: str, what: str, limits: Limits) -> int:
    """A whole number in ASCII digits; ``.0`` after it is ignored.

    raises  Refused
    """
    found = _NUMBER.fullmatch(value.strip())
    if not found:
        raise ReportRejected("bad_number", f"{what} is not a whole number")
    if (whole := int(found[1])) > limits.integer:
        raise ReportRejected("bad_number", f"{what} is more than {limits.integer}")
    return whole


def check_period(begin: int, end: int, now: int, limits: Limits) -> None:
    """Accept a period that a report may be about.

    raises  Refused
    """
    if not 0 <= begin <= end:
        raise ReportRejected("bad_dates", "the report begins after its end")
    if end > now + limits.future_seconds:
        raise ReportRejected("bad_dates", "the report ends in the future")
    if end - begin > limits.span_seconds:
        raise ReportRejected(
            "bad_dates", f"the report covers over {limits.span_seconds // 86400} days"
        )


def address(value: str) -> str:
    """The IP address as everybody writes it (RFC 5952); one of IPv4 in IPv6 is that of IPv4.

    raises  Refused
    """
    value = value.strip()
    if _IPV4.fullmatch(value):
        return value
    try:
        found = ipaddress.IPv6Address(value if _IPV6.fullmatch(value) else "")
    except ValueError:
        raise ReportRejected("bad_source_ip", "source_ip is not an IP address") from None
    return str(found.ipv4_mapped or found)


@lru_cache(maxsize=4096)
def host(value: str) -> str | None:
    """The domain name, normalised; None if it is none."""
    try:
        return names.parse_host(value)
    except names.NotADomain:
        return None


def word(value: str) -> str:
    """A word of a small vocabulary, in lower case."""
    return text(value).lower()[:MAX_WORD]

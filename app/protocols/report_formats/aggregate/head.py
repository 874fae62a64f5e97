"""The elements of an aggregate report outside its records (RFC 9990 §3.1.1.3 to §3.1.1.6)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.protocols.report_formats.aggregate import values as values
from app.protocols.report_formats.aggregate.values import Warnings
from app.protocols.report_formats.limits import Limits, ReportRejected

POLICIES = frozenset(("none", "quarantine", "reject"))
_USUAL_LENGTH = 10  # digits, from the year 2001 to 2286
MILLISECONDS_FROM = 10**11  # as seconds, this is after the year 5000

_TAGS = ("sp", "np", "adkim", "aspf", "pct", "fo", "testing", "discovery_method")
_INTEGER = re.compile(r"[0-9]{1,20}")
_DECIMAL = re.compile(r"([0-9]{1,20})\.[0-9]{1,20}")
_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?"
    r"[ ]?([Zz]|UTC|[+-][0-9]{2}:?[0-9]{2})?"
)


@dataclass(frozen=True, slots=True)
class PublishedPolicy:
    """The DMARC record as the reporter saw it; values as written, in lower case.

    p  "" if the reporter does not say it
    """

    domain: str
    p: str
    sp: str | None = None
    np: str | None = None
    adkim: str | None = None
    aspf: str | None = None
    pct: str | None = None
    fo: str | None = None
    testing: str | None = None
    discovery_method: str | None = None


class Head:
    """The texts of report_metadata and policy_published, each of which occurs once."""

    def __init__(self, fields: Mapping[str, str], limits: Limits, warnings: Warnings) -> None:
        self._fields, self._limits, self._warnings = fields, limits, warnings

    def required(self, key: str, *, may_be_empty: bool = True) -> str:
        """The text of a required element.

        raises  ReportRejected
        """
        if key not in self._fields:
            raise ReportRejected("missing_element", f"the report has no {key} element")
        text = values.text(self._fields[key])
        if not text and not may_be_empty:
            raise ReportRejected("missing_element", f"{key} is empty")
        return text

    def optional(self, key: str) -> str | None:
        """The text of an optional element; None if it is absent or empty."""
        text = self._fields.get(key)
        return values.text(text) or None if text else None

    def expected(self, key: str, warning: str) -> str:
        """The text of an element; without it, this warning is added."""
        if not (text := self.optional(key)):
            self._warnings.add(warning)
        return text or ""

    def reporter(self) -> tuple[str, str]:
        """The name and the email address of the reporter; no figure depends on them."""
        org_name = self.expected("org_name", "org_name_missing")
        return org_name, self.expected("email", "email_missing")

    def report_id(self) -> str:
        """The report id, which identifies duplicates.

        raises  ReportRejected
        """
        return self.required("report_id", may_be_empty=False)

    def period(self, now: int) -> tuple[int, int]:
        """Begin and end of the period in seconds since 1970.

        raises  ReportRejected
        """
        begin, end = self._time("begin"), self._time("end")
        if begin == end + 1:  # of an empty period whose end is exclusive
            begin, end = end, begin
            self._warnings.add("dates_swapped")
        values.check_period(begin, end, now, self._limits)
        return begin, end

    def _time(self, key: str) -> int:
        """The time in seconds since 1970: an integer, with a fraction, or as a date (RFC 3339)."""
        text = self.required(key)
        if len(text) == _USUAL_LENGTH and text.isascii() and text.isdigit():
            return int(text)
        if decimal := _DECIMAL.fullmatch(text):
            text = decimal[1]
            self._warnings.add("date_format")
        elif iso := _ISO.fullmatch(text):
            self._warnings.add("date_format")
            return _seconds(iso, key)
        if not _INTEGER.fullmatch(text):
            raise ReportRejected("bad_dates", f"{key} is not a time in seconds since 1970")
        time = int(text)
        if time >= MILLISECONDS_FROM:
            self._warnings.add("date_format")
            time //= 1000
        return time

    def policy(self) -> PublishedPolicy:
        """The DMARC policy that the reporter saw.

        raises  ReportRejected
        """
        domain = values.host(self.required("domain"))
        if not domain:
            raise ReportRejected(
                "bad_domain", "policy_published: the domain is not a valid domain name"
            )
        p = values.word(self.expected("p", "policy_missing"))
        if p and p not in POLICIES:
            self._warnings.add("policy_unknown")
        stated = [key for key in _TAGS if key in self._fields]
        others = {key: values.word(self._fields[key]) or None for key in stated}
        return PublishedPolicy(domain, p, **others)


def _seconds(iso: re.Match[str], key: str) -> int:
    """The seconds since 1970 of a date and time; without a time zone, it is UTC."""
    date, time, zone = iso.groups()
    zone = "+00:00" if not zone or zone.upper() in ("Z", "UTC") else zone
    try:
        at = datetime.fromisoformat(f"{date}T{time}{zone}")
        return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    except (ValueError, OverflowError):
        raise ReportRejected("bad_dates", f"{key} is not a valid date and time") from None

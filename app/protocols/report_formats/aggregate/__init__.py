"""DMARC aggregate reports about the mail that a receiver got (RFC 9990, RFC 7489 §7.2)."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.protocols.report_formats.aggregate import fast_path, xml
from app.protocols.report_formats.aggregate import values as values
from app.protocols.report_formats.aggregate.records import DkimResult as DkimResult
from app.protocols.report_formats.aggregate.records import Reason as Reason
from app.protocols.report_formats.aggregate.records import Record as Record
from app.protocols.report_formats.aggregate.records import Records
from app.protocols.report_formats.aggregate.records import SpfResult as SpfResult
from app.protocols.report_formats.aggregate.values import Warnings
from app.protocols.report_formats.aggregate.xml import Contents
from app.protocols.report_formats.limits import LIMITS, Limits, ReportRejected

POLICIES = frozenset(("none", "quarantine", "reject"))

_TAGS = ("sp", "np", "adkim", "aspf", "pct", "fo", "testing", "discovery_method")


@dataclass(frozen=True, slots=True)
class PublishedPolicy:
    """The DMARC record as the reporter saw it; values as written, in lower case."""

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


@dataclass(frozen=True, slots=True)
class AggregateReport:
    """One aggregate report.

    begin, end  seconds since 1970, UTC
    errors      errors that the reporter states
    warnings    deviations that the parser tolerated
    """

    org_name: str
    email: str
    contact: str | None
    report_id: str
    begin: int
    end: int
    policy: PublishedPolicy
    generator: str | None
    namespace: str | None
    version: str | None
    errors: tuple[str, ...]
    records: Sequence[Record]
    warnings: tuple[str, ...]


def parse(document: bytes, now: int, limits: Limits = LIMITS) -> AggregateReport:
    """The aggregate report in an XML document.

    now     seconds since 1970; a report must not end more than a day in the future
    raises  ReportRejected
    source  RFC 9990 §3.1 and §A; known deviations of reporters are tolerated
    """
    records, contents = _read(document, limits)
    if not records.all:
        raise ReportRejected("no_records", "the report contains no record element")
    warnings = Warnings()
    records.warn(warnings)
    for tolerated in contents.tolerated:
        warnings.add(tolerated)
    head = _Head(contents.head, limits)
    begin, end = head.period(now)
    return AggregateReport(
        org_name=head.required("org_name"),
        email=head.required("email"),
        contact=head.optional("extra_contact_info"),
        report_id=head.report_id(),
        begin=begin,
        end=end,
        policy=head.policy(warnings),
        generator=head.optional("generator"),
        namespace=contents.namespace,
        version=head.optional("version"),
        errors=tuple(filter(None, map(values.text, contents.errors))),
        records=records.all,
        warnings=warnings.all(),
    )


def _read(document: bytes, limits: Limits) -> tuple[Records, Contents]:
    """The records and the other elements, by the fast path if possible, else by the XML parser."""
    records = Records(limits)
    try:
        return records, fast_path.read(document, records, limits)
    except fast_path.NotSupported:
        pass
    except ReportRejected as refused:
        if refused.reason != "not_well_formed":  # only the XML parser knows the position
            raise
    records = Records(limits)
    return records, xml.read(document, records.add, limits)


class _Head:
    """The elements before the records, each of which occurs once."""

    def __init__(self, fields: dict[str, str], limits: Limits) -> None:
        self._fields, self._limits = fields, limits

    def required(self, key: str, *, may_be_empty: bool = True) -> str:
        """The text of a required element."""
        if key not in self._fields:
            raise ReportRejected("missing_element", f"the report has no {key} element")
        text = self._fields[key]
        if len(text) > self._limits.field:
            raise ReportRejected(
                "field_too_long", f"{key} is longer than {self._limits.field} characters"
            )
        text = values.text(text)
        if not text and not may_be_empty:
            raise ReportRejected("missing_element", f"{key} is empty")
        return text

    def optional(self, key: str) -> str | None:
        """The text of an optional element; None if it is absent or empty."""
        return self.required(key) or None if key in self._fields else None

    def report_id(self) -> str:
        """The report id, which identifies duplicates."""
        report_id = self.required("report_id", may_be_empty=False)
        if len(report_id) > (most := self._limits.report_id):
            raise ReportRejected("field_too_long", f"report_id is longer than {most} characters")
        return report_id

    def period(self, now: int) -> tuple[int, int]:
        """Begin and end of the period in seconds since 1970."""
        begin, end = (
            values.number(self.required(key), key, self._limits) for key in ("begin", "end")
        )
        values.check_period(begin, end, now, self._limits)
        return begin, end

    def policy(self, warnings: Warnings) -> PublishedPolicy:
        """The DMARC policy that the reporter saw."""
        domain = values.host(self.required("domain"))
        if not domain:
            raise ReportRejected(
                "bad_domain", "policy_published: the domain is not a valid domain name"
            )
        p = values.word(self.required("p", may_be_empty=False))
        if p not in POLICIES:
            warnings.add(f"policy_published has the unknown policy {p!r}")
        others = {key: values.word(self.optional(key) or "") or None for key in _TAGS}
        return PublishedPolicy(domain, p, **others)

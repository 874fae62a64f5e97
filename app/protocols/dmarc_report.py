"""DMARC aggregate reports: what a receiver saw of a domain's mail (RFC 9990, RFC 7489 §7.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.protocols import dmarc_report_shapes, dmarc_report_xml
from app.protocols import dmarc_report_values as values
from app.protocols.dmarc_report_values import Table, Warnings
from app.protocols.dmarc_report_xml import Found, Group
from app.protocols.names import MAX_NAME
from app.protocols.report_limits import LIMITS, Limits, Refused

MAX_ENVELOPE_FROM = 320
_new = tuple.__new__  # a NamedTuple's own takes twice as long

DISPOSITIONS = frozenset(("none", "quarantine", "reject", "pass"))
POLICIES = frozenset(("none", "quarantine", "reject"))

_TAGS = ("sp", "np", "adkim", "aspf", "pct", "fo", "testing", "discovery_method")


class DkimResult(NamedTuple):
    """What came of one DKIM signature; it proves nothing about alignment."""

    domain: str
    selector: str | None
    result: str


class SpfResult(NamedTuple):
    """What came of SPF; it proves nothing about alignment."""

    domain: str
    scope: str | None
    result: str


class Reason(NamedTuple):
    """Why another disposition was applied than the policy asks for."""

    type: str
    comment: str | None


class Record(NamedTuple):
    """So many messages from one address with one result.

    dkim, spf      passed in alignment, as the receiver evaluated it
    envelope_from  "" stands for the null sender, None for not said
    """

    source_ip: str
    count: int  # type: ignore[assignment]  # a tuple's own count is of no use here
    disposition: str
    dkim: bool
    spf: bool
    header_from: str
    envelope_from: str | None
    envelope_to: str | None
    reasons: tuple[Reason, ...]
    dkim_results: tuple[DkimResult, ...]
    spf_results: tuple[SpfResult, ...]


@dataclass(frozen=True, slots=True)
class PublishedPolicy:
    """The record as the reporter found it; values are as written, in lower case."""

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
    """One report.

    begin, end  seconds since 1970, UTC
    errors      what went wrong at the reporter's
    warnings    what was tolerated in reading it
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
    """Read an aggregate report's XML.

    now     seconds since 1970; a report cannot end later than a day from now
    raises  Refused
    source  RFC 9990 §3.1 and §A; what senders are known to do otherwise is tolerated
    """
    records, found = _read(document, limits)
    if not records.records:
        raise Refused("no_records", "the report has no record")
    warnings = records.warnings
    for tolerated in found.tolerated:
        warnings.add(tolerated)
    head = _Head(found.head, limits)
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
        namespace=found.namespace,
        version=head.optional("version"),
        errors=tuple(filter(None, map(values.text, found.errors))),
        records=records.records,
        warnings=warnings.all(),
    )


def _read(document: bytes, limits: Limits) -> tuple["_Records", Found]:
    """The records and the rest, in the fast way if that works, else in the sure one."""
    records = _Records(limits)
    try:
        found = dmarc_report_shapes.read(document, records.add, limits)
    except (Refused, dmarc_report_shapes.Unlike):
        records = _Records(limits)
        found = dmarc_report_xml.read(document, records.add, limits)
    return records, found


class _Records:
    """The records, in order; what many of them share is made once, and shared."""

    def __init__(self, limits: Limits) -> None:
        self.records: list[Record] = []
        self.warnings = Warnings()
        self._limits = limits
        self._addresses = Table(values.address)
        self._counts = Table(self._count)
        self._dispositions = Table(self._disposition)
        self._froms = Table(self._header_from)
        self._texts = Table(self._text)
        self._words = Table(self._word)
        self._names = Table(self._name)
        self._reasons = Table(self._reasons_of)
        self._dkim = Table(self._dkim_of)
        self._spf = Table(self._spf_of)

    def add(self, found: Found) -> None:
        """Add the record that has been read."""
        fields, words = found.fields, self._words
        sender, receiver = fields.get("envelope_from"), fields.get("envelope_to")
        try:
            record = (
                self._addresses[fields["source_ip"]],
                self._counts[fields["count"]],
                self._dispositions[fields["disposition"]],
                words[fields["dkim"]] == "pass",
                words[fields["spf"]] == "pass",
                self._froms[fields["header_from"]],
                None if sender is None else self._texts[sender].lower()[:MAX_ENVELOPE_FROM],
                self._names[receiver] or None if receiver else None,
                self._reasons[tuple(found.reasons)] if found.reasons else (),
                self._dkim[tuple(found.dkim)] if found.dkim else (),
                self._spf[tuple(found.spf)] if found.spf else (),
            )
            fields["auth_results"]
        except KeyError as missing:
            raise Refused("missing_element", f"a record has no {missing.args[0]}") from None
        if len(self.records) >= self._limits.records:
            raise Refused("too_many_records", f"more than {self._limits.records} records")
        self.records.append(_new(Record, record))

    def _count(self, value: str) -> int:
        count = values.number(value, "count", self._limits)
        if not count:
            self.warnings.add("a record has a count of 0")
        return count

    def _disposition(self, value: str) -> str:
        disposition = self._words[value]
        if not disposition:
            raise Refused("missing_element", "a record has no disposition")
        if disposition not in DISPOSITIONS:
            self.warnings.add(f"unknown disposition {disposition}")
        return disposition

    def _header_from(self, value: str) -> str:
        name = self._names[value]
        if not name:
            raise Refused("missing_element", "a record has no header_from")
        if not values.host(value):
            self.warnings.add(f"header_from is not a domain name: {name[: values.MAX_WORD]}")
        return name

    def _text(self, value: str) -> str:
        if len(value) > self._limits.field:
            raise Refused("field_too_long", f"a value has over {self._limits.field} characters")
        return values.text(value)

    def _word(self, value: str) -> str:
        return self._text(value).lower()[: values.MAX_WORD]

    def _name(self, value: str) -> str:
        """The domain, or what stands for it."""
        return values.host(value) or self._text(value).lower()[:MAX_NAME]

    def _reasons_of(self, found: tuple[Group, ...]) -> tuple[Reason, ...]:
        """Those that say anything."""
        return tuple(
            Reason(self._words[kind or ""] or "other", self._texts[comment or ""] or None)
            for kind, comment in found
            if kind or comment
        )

    def _dkim_of(self, found: tuple[Group, ...]) -> tuple[DkimResult, ...]:
        names, texts, words = self._names, self._texts, self._words
        return tuple(
            DkimResult(names[domain or ""], texts[selector or ""] or None, words[result or ""])
            for domain, selector, result in found
        )

    def _spf_of(self, found: tuple[Group, ...]) -> tuple[SpfResult, ...]:
        names, words = self._names, self._words
        return tuple(
            SpfResult(names[domain or ""], words[scope or ""] or None, words[result or ""])
            for domain, scope, result in found
        )


class _Head:
    """What is said once, before the records."""

    def __init__(self, fields: dict[str, str], limits: Limits) -> None:
        self._fields, self._limits = fields, limits

    def required(self, key: str, *, may_be_empty: bool = True) -> str:
        """The text, which has to be there."""
        if key not in self._fields:
            raise Refused("missing_element", f"the report has no {key}")
        text = self._fields[key]
        if len(text) > self._limits.field:
            raise Refused("field_too_long", f"{key} has over {self._limits.field} characters")
        text = values.text(text)
        if not text and not may_be_empty:
            raise Refused("missing_element", f"{key} is empty")
        return text

    def optional(self, key: str) -> str | None:
        """The text, if it is there and not empty."""
        return self.required(key) or None if key in self._fields else None

    def report_id(self) -> str:
        """The report's id, without which repeats cannot be told."""
        report_id = self.required("report_id", may_be_empty=False)
        if len(report_id) > (most := self._limits.report_id):
            raise Refused("field_too_long", f"report_id has over {most} characters")
        return report_id

    def period(self, now: int) -> tuple[int, int]:
        """Begin and end in seconds since 1970."""
        begin, end = (
            values.number(self.required(key), key, self._limits) for key in ("begin", "end")
        )
        values.check_period(begin, end, now, self._limits)
        return begin, end

    def policy(self, warnings: Warnings) -> PublishedPolicy:
        """What the reporter found published."""
        domain = values.host(self.required("domain"))
        if not domain:
            raise Refused("bad_domain", "the domain of policy_published is not a domain name")
        p = values.word(self.required("p", may_be_empty=False))
        if p not in POLICIES:
            warnings.add(f"unknown policy {p}")
        others = {key: values.word(self.optional(key) or "") or None for key in _TAGS}
        return PublishedPolicy(domain, p, **others)

"""DMARC aggregate reports: what a receiver saw of a domain's mail (RFC 9990, RFC 7489 §7.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.protocols import dmarc_report_values as values
from app.protocols.dmarc_report_values import Table, Warnings
from app.protocols.dmarc_report_xml import Found, Group, read
from app.protocols.names import MAX_NAME
from app.protocols.report_limits import LIMITS, Limits, Refused

MAX_ENVELOPE_FROM = 320
DISPOSITIONS = frozenset(("none", "quarantine", "reject", "pass"))
POLICIES = frozenset(("none", "quarantine", "reject"))


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
    records = _Records(limits)
    found = read(document, records.add, limits)
    if not records.records:
        raise Refused("no_records", "the report has no record")
    head, warnings = found.head, records.warnings
    for tolerated in found.tolerated:
        warnings.add(tolerated)
    begin, end = _period(head, now, limits)
    return AggregateReport(
        org_name=_required(head, "org_name"),
        email=_required(head, "email"),
        contact=_optional(head, "extra_contact_info"),
        report_id=_report_id(head, limits),
        begin=begin,
        end=end,
        policy=_policy(head, warnings),
        generator=_optional(head, "generator"),
        namespace=found.namespace,
        version=_optional(head, "version"),
        errors=tuple(filter(None, map(values.text, found.errors))),
        records=records.records,
        warnings=warnings.all(),
    )


class _Records:
    """The records, in order; what many of them share is shared."""

    def __init__(self, limits: Limits) -> None:
        self.records: list[Record] = []
        self.warnings = Warnings()
        self._limits = limits
        self._addresses = Table(values.address)
        self._counts = Table(self._count)
        self._dispositions = Table(self._disposition)
        self._passed = Table(_is_pass)
        self._froms = Table(self._header_from)
        self._senders = Table(_envelope_from)
        self._receivers = Table(_envelope_to)
        self._reasons = Table(_reasons)
        self._dkim = Table(_dkim_results)
        self._spf = Table(_spf_results)

    def add(self, found: Found) -> None:
        """Add the record that has been read."""
        fields = found.fields
        sender, receiver = fields.get("envelope_from"), fields.get("envelope_to")
        try:
            record = Record(
                self._addresses[fields["source_ip"]],
                self._counts[fields["count"]],
                self._dispositions[fields["disposition"]],
                self._passed[fields["dkim"]],
                self._passed[fields["spf"]],
                self._froms[fields["header_from"]],
                None if sender is None else self._senders[sender],
                None if receiver is None else self._receivers[receiver],
                self._reasons[tuple(found.reasons)] if found.reasons else (),
                self._dkim[tuple(found.dkim)] if found.dkim else (),
                self._spf[tuple(found.spf)] if found.spf else (),
            )
        except KeyError as missing:
            raise Refused("missing_element", f"a record has no {missing.args[0]}") from None
        if "auth_results" not in fields:
            raise Refused("missing_element", "a record has no auth_results")
        self.records.append(record)

    def _count(self, value: str) -> int:
        count = values.number(value, "count", self._limits)
        if not count:
            self.warnings.add("a record has a count of 0")
        return count

    def _disposition(self, value: str) -> str:
        disposition = values.word(value)
        if not disposition:
            raise Refused("missing_element", "a record has no disposition")
        if disposition not in DISPOSITIONS:
            self.warnings.add(f"unknown disposition {disposition}")
        return disposition

    def _header_from(self, value: str) -> str:
        if name := values.host(value):
            return name
        shown = values.text(value).lower()[:MAX_NAME]
        if not shown:
            raise Refused("missing_element", "a record has no header_from")
        self.warnings.add(f"header_from is not a domain name: {shown[: values.MAX_WORD]}")
        return shown


def _envelope_from(value: str) -> str:
    return values.text(value).lower()[:MAX_ENVELOPE_FROM]


def _envelope_to(value: str) -> str | None:
    return values.text(value).lower()[:MAX_NAME] or None


def _is_pass(value: str) -> bool:
    return values.word(value) == "pass"


def _reasons(found: tuple[Group, ...]) -> tuple[Reason, ...]:
    """Those that say anything."""
    return tuple(
        Reason(values.word(kind or "") or "other", values.text(comment or "") or None)
        for kind, comment in found
        if kind or comment
    )


def _dkim_results(found: tuple[Group, ...]) -> tuple[DkimResult, ...]:
    return tuple(
        DkimResult(_name(domain), values.text(selector or "") or None, values.word(result or ""))
        for domain, selector, result in found
    )


def _spf_results(found: tuple[Group, ...]) -> tuple[SpfResult, ...]:
    return tuple(
        SpfResult(_name(domain), values.word(scope or "") or None, values.word(result or ""))
        for domain, scope, result in found
    )


def _name(value: str | None) -> str:
    """The domain, or what stands for it."""
    return values.host(value or "") or values.text(value or "").lower()[:MAX_NAME]


def _required(head: dict[str, str], key: str) -> str:
    if key not in head:
        raise Refused("missing_element", f"the report has no {key}")
    return values.text(head[key])


def _optional(head: dict[str, str], key: str) -> str | None:
    return values.text(head.get(key, "")) or None


def _report_id(head: dict[str, str], limits: Limits) -> str:
    report_id = _required(head, "report_id")
    if not report_id:
        raise Refused("missing_element", "report_id is empty")
    if len(report_id) > limits.report_id:
        raise Refused("field_too_long", f"report_id is longer than {limits.report_id} characters")
    return report_id


def _period(head: dict[str, str], now: int, limits: Limits) -> tuple[int, int]:
    begin = values.number(_required(head, "begin"), "begin", limits)
    end = values.number(_required(head, "end"), "end", limits)
    if begin > end:
        raise Refused("bad_dates", "the report begins after its end")
    if end > now + limits.future_seconds:
        raise Refused("bad_dates", "the report ends in the future")
    if end - begin > limits.span_seconds:
        raise Refused("bad_dates", "the report covers more than 31 days")
    return begin, end


def _policy(head: dict[str, str], warnings: Warnings) -> PublishedPolicy:
    domain = values.host(_required(head, "domain"))
    if not domain:
        raise Refused("bad_domain", "the domain of policy_published is not a domain name")
    p = values.word(_required(head, "p"))
    if not p:
        raise Refused("missing_element", "p is empty")
    if p not in POLICIES:
        warnings.add(f"unknown policy {p}")
    others = {
        key: values.word(head.get(key, "")) or None
        for key in (*("sp", "np", "adkim", "aspf", "pct", "fo", "testing", "discovery_method"),)
    }
    return PublishedPolicy(domain, p, **others)

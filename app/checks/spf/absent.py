"""Findings about a domain without an SPF record: a malformed one, one elsewhere, or none."""

from collections.abc import Sequence

from app.checks.engine.types import Finding, FindingType, Fix, Severity, Subject, Usage
from app.ports.dns import Resolver
from app.protocols import spf as protocol
from app.protocols.spf import repair

MISSING = FindingType(
    code="spf.missing",
    severity=Severity.HIGH,
    summary="No SPF record: receivers cannot tell who may send as this domain",
    observed="No TXT record of {subject} starts with `v=spf1`.",
    why="Anyone can send as the domain without failing SPF, and legitimate mail cannot pass it.",
    remediation="Publish `v=spf1 mx ~all` with an `include` for each service that sends for you, "
    "or `v=spf1 -all` if the domain sends no mail.",
    reference="RFC 7208 §3",
)
BAD_VERSION = FindingType(
    code="spf.bad_version",
    severity=Severity.CRITICAL,
    summary="SPF: record does not start with v=spf1, so receivers ignore it",
    observed="{subject} has the TXT record {record}. An SPF record starts with exactly `v=spf1`.",
    why="Receivers do not recognize the text as an SPF record, so the domain has no SPF "
    "protection.",
    remediation="Start the record with `v=spf1` and a space.",
    reference="RFC 7208 §4.5",
    hides_others=True,
    is_syntax=True,
)
WHITESPACE = FindingType(
    code="spf.leading_whitespace",
    severity=Severity.CRITICAL,
    summary="SPF: text before v=spf1, so receivers ignore the record",
    observed="{subject} has the TXT record {record}. An SPF record must start with `v=spf1`.",
    why="Receivers do not recognize the text as an SPF record, so the domain has no SPF "
    "protection.",
    remediation="Publish the record without the space or quotation mark before `v=spf1`.",
    reference="RFC 7208 §4.5",
    hides_others=True,
    is_syntax=True,
)
WRONG_PLACE = FindingType(
    code="spf.record_in_wrong_place",
    severity=Severity.LOW,
    summary="SPF: record at a name where receivers do not look, so it has no effect",
    observed="The record {record} is published at {subject}. Receivers look for it at the domain "
    "itself.",
    why="Receivers look for the record at the domain itself, so the domain has no SPF protection.",
    remediation="Publish the record at the domain.",
    note="The record is at `_spf`, `spf` or `_dmarc`, and the domain itself has no record.",
    reference="RFC 7208 §4.4",
)
TYPE_99 = FindingType(
    code="spf.deprecated_type99",
    severity=Severity.INFO,
    summary="SPF: record of the obsolete type SPF (99), which receivers ignore",
    observed="{subject} has the record {record} with the type SPF. Receivers look for TXT records "
    "only.",
    why="Receivers read TXT records only, so they do not see the record.",
    remediation="Publish the record as a TXT record, and remove the one of type SPF.",
    reference="RFC 7208 §3.1",
)
FINDING_TYPES = (MISSING, BAD_VERSION, WHITESPACE, WRONG_PLACE, TYPE_99)
LOCK = "v=spf1 -all"

_MISTAKEN = ("_spf", "spf", "_dmarc")  # labels at which the record is published by mistake


async def findings(subject: Subject, others: Sequence[str], dns: Resolver) -> list[Finding]:
    """All findings about a domain without an SPF record.

    others   the TXT values of the domain; none is an SPF record
    raises   LookupFailed if the names where a record may be by mistake cannot be queried
    """
    if attempts := [text for text in others if repair.is_attempt(text)]:
        return [_of_attempt(subject.domain, text) for text in attempts]
    names = [f"{label}.{subject.domain}" for label in _MISTAKEN]
    dns.prefetch(*((name, "TXT") for name in names), (subject.domain, "SPF"))
    findings = [_missing(subject)]
    for name in names:
        for text in filter(protocol.is_record, await dns.txt(name)):
            findings.append(WRONG_PLACE.at(name, record=text, fix=_moved(subject.domain, text)))
    type_99 = (await dns.resolve(subject.domain, "SPF")).rdatas
    texts = [str(text) for text in type_99 if protocol.is_record(str(text))]
    findings += [
        TYPE_99.at(subject.domain, record=text, fix=_moved(subject.domain, text)) for text in texts
    ]
    return findings


def _of_attempt(domain: str, text: str) -> Finding:
    has_only_edges = protocol.is_record(text.strip(" \t\r\n\"'"))
    kind = WHITESPACE if has_only_edges else BAD_VERSION
    after = repair.repaired(text)
    if after is None:
        return kind.at(domain, record=text, fix=None)
    why = "Receivers ignore the record, because it must start with v=spf1 and a space."
    fix = Fix.replace_txt(domain, [text], after=after, why=why)
    return kind.at(domain, record=text, fix=fix)


def _missing(subject: Subject) -> Finding:
    sends = subject.usage in (Usage.BOTH, Usage.SENDS)
    why = (
        "A safe start: your mail servers may send, and mail from others is only marked. "
        "Add an include for each service that sends for you, then end with -all."
        if sends
        else "The domain sends no mail. With this record, no server may send as it."
    )
    record = "v=spf1 mx ~all" if sends else LOCK
    fix = Fix.publish_txt(subject.domain, record, why)
    return MISSING.at(subject.domain, fix=fix)


def _moved(domain: str, text: str) -> Fix:
    why = "Move the record to the TXT records of the domain itself, where receivers look for it."
    return Fix.publish_txt(domain, text, why)

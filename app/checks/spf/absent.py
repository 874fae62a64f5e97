"""Findings about a domain without an SPF record: a malformed one, one elsewhere, or none."""

import re
from collections.abc import Sequence

from app.checks.engine.types import Finding, FindingType, Fix, Severity, Subject, Usage
from app.ports.dns import Resolver
from app.protocols import spf as protocol

MISSING = FindingType(
    "spf.missing",
    Severity.HIGH,
    "No SPF record: receivers cannot tell who may send as this domain",
    "RFC 7208 §3",
)
BAD_VERSION = FindingType(
    "spf.bad_version",
    Severity.CRITICAL,
    "SPF: record does not start with v=spf1, so receivers ignore it",
    "RFC 7208 §4.5",
)
WHITESPACE = FindingType(
    "spf.leading_whitespace",
    Severity.CRITICAL,
    "SPF: text before v=spf1, so receivers ignore the record",
    "RFC 7208 §4.5",
)
WRONG_PLACE = FindingType(
    "spf.record_in_wrong_place",
    Severity.LOW,
    "SPF: record at a name where receivers do not look, so it has no effect",
    "RFC 7208 §4.4",
)
TYPE_99 = FindingType(
    "spf.deprecated_type99",
    Severity.INFO,
    "SPF: record of the obsolete type SPF (99), which receivers ignore",
    "RFC 7208 §3.1",
)
FINDING_TYPES = (MISSING, BAD_VERSION, WHITESPACE, WRONG_PLACE, TYPE_99)
LOCK = "v=spf1 -all"

_ATTEMPT = re.compile(r"""[\s"']*v[\s]*=[\s]*spf""", re.IGNORECASE)
_MISTAKEN = ("_spf", "spf", "_dmarc")  # labels at which the record is published by mistake


async def findings(subject: Subject, others: Sequence[str], dns: Resolver) -> list[Finding]:
    """All findings about a domain without an SPF record.

    others   the TXT values of the domain; none is an SPF record
    raises   Undetermined if the names where a record may be by mistake cannot be queried
    """
    if attempts := [text for text in others if _ATTEMPT.match(text)]:
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
    stripped = text.strip(" \t\r\n\"'")
    if not protocol.is_record(stripped):
        return BAD_VERSION.at(domain, record=text)
    why = "Receivers ignore the record, because it must start with v=spf1 and a space."
    fix = Fix("replace", domain, "TXT", text, stripped, f"Publish {text!r} again.", why)
    return WHITESPACE.at(domain, record=text, fix=fix)


def _missing(subject: Subject) -> Finding:
    sends = subject.usage in (Usage.BOTH, Usage.SENDS)
    why = (
        "A safe start: your mail servers may send, and mail from others is only marked. "
        "Add an include for each service that sends for you, then end with -all."
        if sends
        else "The domain sends no mail. With this record, no server may send as it."
    )
    record = "v=spf1 mx ~all" if sends else LOCK
    fix = Fix("publish", subject.domain, "TXT", None, record, "Remove the record.", why)
    return MISSING.at(subject.domain, fix=fix)


def _moved(domain: str, text: str) -> Fix:
    why = "Move the record to the TXT records of the domain itself, where receivers look for it."
    return Fix("publish", domain, "TXT", None, text, "Remove the record.", why)

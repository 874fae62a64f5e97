"""Check results as the JSON that is stored with a scan and returned by the API."""

from typing import NotRequired, TypedDict

from app.checks.engine.types import CheckResult, Finding, StoredFix
from app.protocols.json_values import JsonObject


class StoredDnsAnswer(TypedDict):
    """A DNS answer that a check used as evidence."""

    name: str
    type: str
    rcode: str
    ttl: int | None
    values: list[str]


class StoredFinding(TypedDict):
    """A finding of a check; the keys of ``evidence`` depend on ``code``.

    why, remediation  missing in results that were stored before these texts were introduced
    """

    code: str
    severity: str
    summary: str
    why: NotRequired[str]
    remediation: NotRequired[str]
    reference: str
    subject: str
    evidence: JsonObject
    fix: StoredFix | None


class StoredCheck(TypedDict):
    """The result of one check; the keys of ``facts`` depend on ``check``."""

    check: str
    verdict: str
    definite: bool
    reason: str | None
    logicVersion: int
    elapsedMs: int
    records: list[StoredDnsAnswer]
    facts: JsonObject
    findings: list[StoredFinding]


class StoredLastResult(StoredCheck):
    """The last definite result of a check of a domain, with the scan that produced it."""

    scanId: str
    checkedAt: str


def as_json(result: CheckResult) -> StoredCheck:
    """Return an element of a scan's ``checks``, with the field names of the API."""
    return {
        "check": result.check,
        "verdict": result.verdict.value,
        "definite": result.definite,
        "reason": result.reason,
        "logicVersion": result.logic_version,
        "elapsedMs": result.elapsed_ms,
        "records": [
            {
                "name": record.name,
                "type": record.type,
                "rcode": record.rcode,
                "ttl": record.ttl,
                "values": list(record.values),
            }
            for record in result.records
        ],
        "facts": dict(result.facts),
        "findings": [finding_as_json(finding) for finding in result.findings],
    }


def finding_as_json(finding: Finding) -> StoredFinding:
    """Return an element of a check's ``findings``, with the field names of the API."""
    return {
        "code": finding.kind.code,
        "severity": finding.severity.value,
        "summary": finding.kind.summary,
        "why": finding.kind.why,
        "remediation": finding.kind.remediation,
        "reference": finding.kind.reference,
        "subject": finding.subject,
        "evidence": dict(finding.evidence),
        "fix": finding.fix.as_json() if finding.fix else None,
    }

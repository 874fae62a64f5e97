"""Check results as the JSON that is stored with a scan and returned by the API."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from app.checks.engine.types import CheckResult, Finding, Verdict


def as_json(judgement: CheckResult) -> dict[str, Any]:
    """One element of a scan's ``checks``, with the field names of the API."""
    return {
        "check": judgement.check,
        "verdict": judgement.verdict.value,
        "definite": judgement.definite,
        "reason": judgement.reason,
        "logicVersion": judgement.logic_version,
        "elapsedMs": judgement.elapsed_ms,
        "records": [
            {
                "name": record.name,
                "type": record.type,
                "rcode": record.rcode,
                "ttl": record.ttl,
                "values": list(record.values),
            }
            for record in judgement.records
        ],
        "facts": dict(judgement.facts),
        "findings": [_finding(finding) for finding in judgement.findings],
    }


def summary(judgements: Iterable[CheckResult]) -> dict[str, int]:
    """The number of checks by verdict, with all five verdicts."""
    counts = Counter(judgement.verdict for judgement in judgements)
    return {verdict.value: counts[verdict] for verdict in Verdict}


def merge_known_results(
    known: Mapping[str, Any],
    judgements: Iterable[tuple[CheckResult, Mapping[str, Any]]],
    *,
    scan_id: str,
    judged_at: str,
) -> tuple[dict[str, Any], dict[str, str]]:
    """The last definite results by check after a scan, and the reasons of undetermined checks.

    judgements  each with its JSON; an undetermined one leaves the previous result unchanged
    """
    after, unseen = dict(known), {}
    for judgement, stored in judgements:
        if judgement.definite:
            after[judgement.check] = {**stored, "scanId": scan_id, "judgedAt": judged_at}
        else:
            unseen[judgement.check] = judgement.reason or "the server did not answer"
    return after, unseen


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.kind.code,
        "severity": finding.severity.value,
        "summary": finding.kind.summary,
        "reference": finding.kind.reference,
        "subject": finding.subject,
        "evidence": dict(finding.evidence),
        "fix": finding.fix.as_json() if finding.fix else None,
    }

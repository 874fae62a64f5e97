"""Alerts on findings of medium severity and above, one rule per check.

A finding type that flaps opens an alert only if the previous definite result had it, too. Alerts on
findings that another one conceals stay as they are.
"""

from collections.abc import Iterator

from app.checks import CHECKS
from app.checks.engine.types import Check, CheckResult, Finding, Severity
from app.protocols.json_values import JsonObject
from app.rules.engine.types import AlertDraft, Posture, Rule, Unknown
from app.rules.scans.certificates import COVERED_FINDINGS

MAX_RECORDS, MAX_VALUES = 10, 5  # stored as evidence of a resolution
MIN_SEVERITY = Severity.MEDIUM  # findings below it appear with the domain and open no alert


def _of(check: Check) -> Rule[Posture]:
    def evaluate(posture: Posture) -> Iterator[AlertDraft | Unknown] | None:
        result = posture.definite(check.name)
        return None if result is None else _of_result(posture, result)

    def resolution_evidence(posture: Posture) -> JsonObject:
        result = posture.check_results[check.name]
        records = [
            {
                "name": record.name,
                "type": record.type,
                "rcode": record.rcode,
                "values": list(record.values[:MAX_VALUES]),
            }
            for record in result.records[:MAX_RECORDS]
        ]
        return {"check": check.name, "verdict": result.verdict.value, "records": records}

    return Rule(frozenset(kind.code for kind in check.finds), evaluate, resolution_evidence)


def _of_result(posture: Posture, result: CheckResult) -> Iterator[AlertDraft | Unknown]:
    before = posture.last_results.get(result.check, {}).get("findings", ())
    seen = {(finding["code"], finding["subject"]) for finding in before}
    for finding in result.findings:
        if (
            finding.severity.rank <= MIN_SEVERITY.rank
            and finding.kind.code not in COVERED_FINDINGS
            and (not finding.kind.flaps or (finding.kind.code, finding.subject) in seen)
        ):
            yield _draft(posture, finding)
    for code in {code for finding in result.findings for code in finding.kind.conceals}:
        yield Unknown(code, lambda _: True)


def _draft(posture: Posture, finding: Finding) -> AlertDraft:
    where = "" if finding.subject == posture.domain else f" ({finding.subject})"
    advice = f" What to do: {finding.fix.why}" if finding.fix else ""
    return AlertDraft(
        type=finding.kind.code,
        subject=finding.subject,
        severity=finding.severity,
        title=finding.kind.summary,
        message=f"{posture.domain}: {finding.kind.summary}{where}.{advice}",
        evidence=finding.evidence,
        fix=finding.fix,
        reference=finding.kind.reference,
    )


RULES = tuple(map(_of, CHECKS))

"""Findings that deserve an alert: those of medium severity and above, one rule a check."""

from app.checks import CHECKS
from app.checks.contract import Check, Finding, Severity
from app.rules.contract import Draft, Posture, Rule

LEAST = Severity.MEDIUM  # what is below is shown with the domain, and wakes nobody


def _of(check: Check) -> Rule[Posture]:
    def judge(posture: Posture) -> list[Draft] | None:
        judgement = posture.judgements.get(check.name)
        if judgement is None or not judgement.definite:
            return None
        return [
            _draft(posture, finding)
            for finding in judgement.findings
            if finding.severity.rank <= LEAST.rank
        ]

    return Rule(frozenset(kind.code for kind in check.finds), judge)


def _draft(posture: Posture, finding: Finding) -> Draft:
    where = "" if finding.subject == posture.domain else f" ({finding.subject})"
    advice = f" What to do: {finding.fix.why}" if finding.fix else ""
    return Draft(
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

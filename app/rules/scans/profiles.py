"""Alerts on compliance profiles that a domain passed before and fails now.

Only profiles that the account follows are evaluated.
"""

from collections.abc import Iterator

from app.analysis.scan.profile_history import FollowedResult
from app.analysis.scan.profiles import ProfileResult, Status
from app.checks.engine.types import Severity
from app.rules.engine.types import AlertDraft, Posture, Rule, Unknown

LOST = "profile.lost"


def _alerts(domain: str, profiles: Iterator[FollowedResult]) -> Iterator[AlertDraft | Unknown]:
    for followed in profiles:
        id = followed.result.profile.id
        if followed.is_lost:
            yield _draft(domain, followed.result)
        elif followed.result.status is Status.UNDETERMINED:
            yield Unknown(LOST, id.__eq__)


def _draft(domain: str, result: ProfileResult) -> AlertDraft:
    failing = [part for part in result.clauses if part.status is Status.FAIL]
    codes = {finding["code"] for part in failing for finding in part.findings}
    advice = " ".join(part.clause.remediation or "" for part in failing)
    return AlertDraft(
        type=LOST,
        subject=result.profile.id,
        severity=Severity.MEDIUM,
        title=f"Domain no longer passes {result.profile.name}",
        message=f"{domain} passed the profile {result.profile.name} before, and now fails "
        f"{len(failing)} of its clauses. What to do: {advice}",
        evidence={
            "profile": result.profile.id,
            "clauses": [f"{part.clause.id}: {part.clause.text}" for part in failing],
            "findings": sorted(codes),
        },
    )


def _evaluate(posture: Posture) -> Iterator[AlertDraft | Unknown] | None:
    if posture.profiles is None:
        return None
    return _alerts(posture.domain, iter(posture.profiles))


RULES = (Rule(frozenset((LOST,)), _evaluate),)

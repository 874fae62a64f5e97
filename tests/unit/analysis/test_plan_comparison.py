"""A draft is better or worse for each check and finding, and never better where that is unknown."""

import itertools
from typing import Any

import pytest

from app.analysis.scan import plan_comparison
from app.analysis.scan.plan_comparison import CheckChange, Effect
from app.checks.engine.types import CheckResult, FindingType, Severity, Verdict

WORSE, BETTER, UNCHANGED = Effect.WORSE, Effect.BETTER, Effect.UNCHANGED
UNDETERMINED = Effect.UNDETERMINED
KIND = FindingType(
    code="spf.example",
    severity=Severity.MEDIUM,
    summary="Example",
    observed="",
    why="It matters.",
    remediation="Change it.",
    reference="RFC 7208 §3",
)
RANKS = {Severity.HIGH: Verdict.FAIL, Severity.MEDIUM: Verdict.WARN, Severity.LOW: Verdict.WARN}


def result(*severities: Severity, definite: bool = True, **fields: Any) -> CheckResult:
    """The result with a finding of each severity, at names a, b …"""
    verdicts = [RANKS.get(severity, Verdict.OK) for severity in severities]
    verdict = max(verdicts, key=list(Verdict).index, default=Verdict.OK)
    values = {
        "check": "spf",
        "logic_version": 1,
        "verdict": verdict,
        "facts": {},
        "findings": tuple(
            KIND.at(name, severity=severity)
            for name, severity in zip("abc", severities, strict=False)
        ),
        "records": (),
        "elapsed_ms": 1,
        "definite": definite,
    }
    return CheckResult(**{**values, **fields})


UNKNOWN = result(definite=False, verdict=Verdict.UNDETERMINED, reason="timeout")


def compare(before: CheckResult, after: CheckResult) -> CheckChange:
    [change] = plan_comparison.compare([before], [after])
    return change


def effects(before: CheckResult, after: CheckResult) -> tuple[Effect, list[Effect]]:
    change = compare(before, after)
    return change.effect, [finding.effect for finding in change.findings]


HIGH, MEDIUM, LOW, INFO = Severity.HIGH, Severity.MEDIUM, Severity.LOW, Severity.INFO


@pytest.mark.parametrize(
    ("before", "after", "check", "findings"),
    [
        (result(), result(), UNCHANGED, []),
        (result(MEDIUM), result(MEDIUM), UNCHANGED, [UNCHANGED]),
        (result(), result(LOW), WORSE, [WORSE]),
        (result(MEDIUM), result(), BETTER, [BETTER]),
        (result(MEDIUM), result(HIGH), WORSE, [WORSE]),
        (result(HIGH), result(LOW), BETTER, [BETTER]),
        (result(HIGH), result(LOW, LOW), WORSE, [WORSE, BETTER]),
        (result(), result(INFO), UNCHANGED, [WORSE]),  # a note does not make the check worse
        (result(INFO), result(INFO, verdict=Verdict.INFO), WORSE, [UNCHANGED]),
        (UNKNOWN, UNKNOWN, UNDETERMINED, []),
        (result(HIGH), UNKNOWN, UNDETERMINED, [UNDETERMINED]),
        (UNKNOWN, result(), UNDETERMINED, []),
        (UNKNOWN, result(HIGH), UNDETERMINED, [UNDETERMINED]),
        (result(HIGH), result(definite=False), UNDETERMINED, [UNDETERMINED]),
        (result(HIGH, definite=False), result(), BETTER, [BETTER]),
        (result(definite=False), result(HIGH), WORSE, [UNDETERMINED]),
    ],
)
def test_effect_of_a_draft(
    before: CheckResult, after: CheckResult, check: Effect, findings: list[Effect]
) -> None:
    assert effects(before, after) == (check, findings)


def test_result_that_is_not_known_is_never_better() -> None:
    results = [result(), result(HIGH), result(LOW), result(MEDIUM, LOW)]
    for before, after in itertools.product([*results, UNKNOWN], repeat=2):
        change = compare(before, after)
        if UNKNOWN in (before, after):
            assert change.effect is UNDETERMINED
            assert BETTER not in {finding.effect for finding in change.findings}
        reverse = compare(after, before)
        if {change.effect, reverse.effect} == {BETTER}:
            pytest.fail("a change and its reverse are both better")


def test_plan_is_as_bad_as_its_worst_check() -> None:
    better, worse = compare(result(HIGH), result()), compare(result(), result(MEDIUM))
    same, unknown = compare(result(), result()), compare(result(), UNKNOWN)
    assert plan_comparison.overall([better, worse, same, unknown]) is WORSE
    assert plan_comparison.overall([better, same, unknown]) is UNDETERMINED
    assert plan_comparison.overall([better, same]) is BETTER
    assert plan_comparison.overall([same]) is UNCHANGED
    assert plan_comparison.worst_severity([better, worse]) is MEDIUM
    assert plan_comparison.worst_severity([better, same, unknown]) is None

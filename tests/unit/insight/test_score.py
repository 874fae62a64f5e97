"""The score: what it counts, and what it leaves out."""

from typing import Any

from app.analysis.scan import score as scoring
from app.analysis.scan.score import POINTS, score
from app.checks import CHECKS
from app.checks.engine.types import Severity, Usage, Verdict


def judgement(verdict: Verdict, *severities: Severity) -> dict[str, Any]:
    findings = [
        {"code": f"x.{severity}", "severity": severity, "summary": "…", "fix": None}
        for severity in severities
    ]
    return {"verdict": verdict, "findings": findings}


def test_points_are_a_hundred_for_every_usage_and_name_only_checks() -> None:
    for usage in Usage:
        assert sum(POINTS[usage].values()) == 100
        assert set(POINTS[usage]) <= {check.name for check in CHECKS}


def test_a_domain_without_blemish_has_a_hundred_and_nothing_to_fix() -> None:
    known = {check.name: judgement(Verdict.OK) for check in CHECKS}
    found = score(known, Usage.BOTH)
    assert (found.value, found.grade, found.recommendations) == (100, "A", [])


def test_what_could_not_be_judged_costs_nothing() -> None:
    assert score({"spf": judgement(Verdict.OK)}, Usage.BOTH).value == 100
    assert score({}, Usage.BOTH).value is None


def test_a_slight_weakness_costs_less_than_another_and_a_failure_all() -> None:
    def value(found: dict[str, Any]) -> int | None:
        return score({"spf": found}, Usage.BOTH).value

    assert value(judgement(Verdict.WARN, Severity.LOW)) == 80
    assert value(judgement(Verdict.WARN, Severity.LOW, Severity.MEDIUM)) == 50
    assert value(judgement(Verdict.FAIL, Severity.HIGH)) == 0


def test_what_is_worth_most_comes_first_with_its_worst_finding() -> None:
    known = {
        "dmarc": judgement(Verdict.WARN, Severity.LOW, Severity.HIGH),
        "spf": judgement(Verdict.FAIL, Severity.CRITICAL),
    }
    steps = score(known, Usage.BOTH).recommendations
    assert [(step.check, step.code, step.score_gain) for step in steps] == [
        ("spf", "x.critical", 40),
        ("dmarc", "x.high", 30),
    ]


def test_grades_begin_at_their_bounds() -> None:
    assert [scoring.grade(value) for value in (100, 90, 89, 80, 65, 50, 49, 0)] == list("AABBCDFF")

"""The security score of a domain."""

from typing import Any

from app.analysis.scan import score as scoring
from app.analysis.scan.score import POINTS, score
from app.checks import CHECKS
from app.checks.engine.types import Severity, Usage, Verdict


def stored_check(verdict: Verdict, *severities: Severity) -> dict[str, Any]:
    findings = [
        {"code": f"x.{severity}", "severity": severity, "summary": "…", "fix": None}
        for severity in severities
    ]
    return {"verdict": verdict, "findings": findings}


def test_points_add_up_to_100_for_every_usage() -> None:
    for usage in Usage:
        assert sum(POINTS[usage].values()) == 100
        assert set(POINTS[usage]) <= {check.name for check in CHECKS}


def test_domain_without_problems_has_100_points_and_no_recommendations() -> None:
    results = {check.name: stored_check(Verdict.OK) for check in CHECKS}
    result = score(results, Usage.BOTH)
    assert (result.value, result.grade, result.recommendations) == (100, "A", [])


def test_undetermined_checks_cost_no_points() -> None:
    assert score({"spf": stored_check(Verdict.OK)}, Usage.BOTH).value == 100
    assert score({}, Usage.BOTH).value is None


def test_low_severity_warning_costs_least_and_failure_costs_all_points() -> None:
    def value(spf_check: dict[str, Any]) -> int | None:
        return score({"spf": spf_check}, Usage.BOTH).value

    assert value(stored_check(Verdict.WARN, Severity.LOW)) == 80
    assert value(stored_check(Verdict.WARN, Severity.LOW, Severity.MEDIUM)) == 50
    assert value(stored_check(Verdict.FAIL, Severity.HIGH)) == 0


def test_recommendation_with_most_points_comes_first_with_worst_finding() -> None:
    results = {
        "dmarc": stored_check(Verdict.WARN, Severity.LOW, Severity.HIGH),
        "spf": stored_check(Verdict.FAIL, Severity.CRITICAL),
    }
    steps = score(results, Usage.BOTH).recommendations
    assert [(step.check, step.code, step.score_gain) for step in steps] == [
        ("spf", "x.critical", 40),
        ("dmarc", "x.high", 30),
    ]


def test_root_cause_is_the_first_recommendation() -> None:
    missing = {"code": "dmarc.missing", "severity": "critical", "summary": "…", "fix": None}
    gone = {"code": "dns.domain_not_found", "severity": "critical", "summary": "…", "fix": None}
    results: dict[str, dict[str, Any]] = {
        "dmarc": {"verdict": Verdict.FAIL, "findings": [missing]},
        "dns": {"verdict": Verdict.FAIL, "findings": [gone], "facts": {"exists": False}},
    }
    steps = score(results, Usage.BOTH).recommendations
    assert [step.code for step in steps] == ["dns.domain_not_found", "dmarc.missing"]


def test_lame_zone_is_recommended_before_worse_findings_of_the_same_check() -> None:
    dangling = {"code": "dns.dangling_cname", "severity": "high", "summary": "…", "fix": None}
    lame = {"code": "dns.delegation_lame", "severity": "medium", "summary": "…", "fix": None}
    facts = {"exists": True, "ns": ["ns1.x.test"], "ns_unresolvable": ["ns1.x.test"]}
    results = {"dns": {"verdict": Verdict.FAIL, "findings": [dangling, lame], "facts": facts}}
    assert score(results, Usage.BOTH).recommendations[0].code == "dns.delegation_lame"


def test_mx_host_with_one_public_address_is_no_root_cause() -> None:
    def code(severity: str) -> str:
        inner = {"code": "mx.host_not_public", "subject": "mx.x.test", "severity": severity}
        finding = {**inner, "summary": "…", "fix": None}
        results = {
            "spf": stored_check(Verdict.FAIL, Severity.HIGH),
            "mx": {
                "verdict": Verdict.WARN,
                "findings": [finding],
                "facts": {"hosts": ["mx.x.test"]},
            },
        }
        return score(results, Usage.BOTH).recommendations[0].code

    assert (code("high"), code("medium")) == ("mx.host_not_public", "x.high")


def test_grades_start_at_their_limits() -> None:
    assert [scoring.grade(value) for value in (100, 90, 89, 80, 65, 50, 49, 0)] == list("AABBCDFF")

"""Two scans of a domain: what is different, and why."""

from typing import Any

import pytest

from app.analysis.scan.diff import diff


def check(
    *values: str, verdict: str = "ok", code: str | None = None, version: int = 1,
    definite: bool = True,
) -> dict[str, Any]:  # fmt: skip
    finding = {"code": code, "subject": "example.org", "severity": "high", "summary": "s"}
    return {
        "check": "spf",
        "verdict": verdict,
        "definite": definite,
        "logicVersion": version,
        "records": [
            {"name": "example.org", "type": "TXT", "rcode": "NOERROR", "values": list(values)}
        ],
        "findings": [finding] if code else [],
    }


@pytest.mark.parametrize(
    ("base", "scan", "cause"),
    [
        (check("a"), check("b", verdict="fail", code="spf.x"), "dns"),
        (check("a"), check("a", verdict="fail", code="spf.x", version=2), "rules"),
        (check("a"), check("a", verdict="fail", code="spf.x"), "facts"),
        (check("a"), check(verdict="undetermined", definite=False), "undetermined"),
    ],
)
def test_a_difference_has_a_cause(base: dict[str, Any], scan: dict[str, Any], cause: str) -> None:
    assert [found["cause"] for found in diff([base], [scan])["checks"]] == [cause]


def test_the_same_twice_is_no_difference() -> None:
    assert diff([check("a")], [check("a")]) == {"dnsChanges": [], "checks": []}


def test_a_record_set_is_shown_before_and_after() -> None:
    changes = diff([check("a")], [check("b", "a")])["dnsChanges"]
    assert [(change["before"], change["after"]) for change in changes] == [(["a"], ["a", "b"])]


def test_findings_are_told_as_added_and_removed() -> None:
    found = diff([check("a", code="spf.x")], [check("b", code="spf.y")])["checks"][0]
    assert [finding["code"] for finding in found["added"]] == ["spf.y"]
    assert [finding["code"] for finding in found["removed"]] == ["spf.x"]

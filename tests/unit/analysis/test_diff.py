"""Differences between two scans of a domain, and their causes."""

from typing import Any

import pytest

from app.analysis.scan.diff import diff


def check(
    *values: str,
    verdict: str = "ok",
    code: str | None = None,
    version: int = 1,
    definite: bool = True,
) -> dict[str, Any]:
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
def test_difference_has_cause(base: dict[str, Any], scan: dict[str, Any], cause: str) -> None:
    assert [difference["cause"] for difference in diff([base], [scan])["checks"]] == [cause]


def test_identical_scans_have_no_difference() -> None:
    assert diff([check("a")], [check("a")]) == {"dnsChanges": [], "checks": []}


def test_changed_record_set_has_before_and_after() -> None:
    changes = diff([check("a")], [check("b", "a")])["dnsChanges"]
    assert [(change["before"], change["after"]) for change in changes] == [(["a"], ["a", "b"])]


def test_findings_are_listed_as_added_and_removed() -> None:
    difference = diff([check("a", code="spf.x")], [check("b", code="spf.y")])["checks"][0]
    assert [finding["code"] for finding in difference["added"]] == ["spf.y"]
    assert [finding["code"] for finding in difference["removed"]] == ["spf.x"]

"""SARIF, JUnit and the exit status of findings, also with hostile texts and missing answers."""

import json
from typing import Any

import jsonschema
import pytest
from junitparser import Error, Failure, JUnitXml

from mailwatch.cli import output
from mailwatch.cli.exits import Exit, status
from mailwatch.formats import junit, sarif
from mailwatch.formats.results import Results
from mailwatch.generated.models import CheckResult, Finding, Severity
from tests.support.paths import DATA

SCHEMA = json.loads((DATA / "schemas" / "sarif-2.1.0.json").read_text())
HOSTILE = "a\x1b[31m]]>&<\x00\ud800\u202e"


def finding(code: str, severity: Severity, **fields: Any) -> Finding:
    values: dict[str, Any] = {
        "code": code,
        "severity": severity,
        "summary": f"Summary of {code}",
        "why": None,
        "remediation": "Do `this`.",
        "docsUrl": f"https://watch.example/docs/alerts#{code}",
        "reference": "RFC 7208 §3.2",
        "subject": "example.com",
        "evidence": {},
        "fix": None,
        **fields,
    }
    return values  # type: ignore[return-value]


def check(name: str, *findings: Finding, **fields: Any) -> CheckResult:
    values: dict[str, Any] = {
        "check": name,
        "verdict": "fail" if findings else "ok",
        "definite": True,
        "reason": None,
        "logicVersion": 1,
        "elapsedMs": 1500,
        "records": [],
        "facts": {},
        "findings": list(findings),
        **fields,
    }
    return values  # type: ignore[return-value]


FIX = {
    "action": "publish",
    "name": "_dmarc.example.com",
    "type": "TXT",
    "before": None,
    "after": "v=DMARC1; p=reject",
    "rollback": "",
    "why": "",
}
RESULTS = Results(
    domainName="example.com",
    scanId="scan_1",
    score={"value": 40, "grade": "F", "version": 1},
    checks=[
        check("dns"),
        check("spf", finding("spf.multiple_records", "critical"), finding("spf.x", "low")),
        check("dmarc", finding("dmarc.missing", "high", fix=FIX)),
        check("bimi", finding("bimi.missing", "info")),
        check("mta_sts", verdict="undetermined", reason="no answer within 60 s"),
    ],
)
HOSTILE_RESULTS = Results(
    domainName="example.com",
    scanId="scan_1",
    score=None,
    checks=[
        check("spf", finding("spf.x", "high", subject=HOSTILE, summary=HOSTILE, docsUrl="")),
        check("dns", verdict="undetermined", reason=HOSTILE),
    ],
)


@pytest.mark.parametrize("results", [RESULTS, HOSTILE_RESULTS])
def test_sarif_is_valid_and_has_every_finding_but_information(results: Results) -> None:
    document = json.loads(json.dumps(sarif.document([results])))
    jsonschema.Draft4Validator(SCHEMA).validate(document)
    [run] = document["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(rules[item["ruleIndex"]] == item["ruleId"] for item in run["results"])
    assert "bimi.missing" not in rules


def test_sarif_has_levels_locations_and_fixes() -> None:
    [run] = sarif.document([RESULTS], path="zones/example.com.zone")["runs"]
    assert [item["level"] for item in run["results"]] == ["error", "note", "error"]
    [location] = run["results"][2]["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "zones/example.com.zone"
    assert "Publish _dmarc.example.com TXT: v=DMARC1" in run["results"][2]["message"]["text"]
    assert run["invocations"][0]["executionSuccessful"] is False


def test_every_check_is_a_test_case_of_junit() -> None:
    xml = JUnitXml.fromstring(junit.document([RESULTS], "medium").encode())
    [suite] = xml
    results = {case.name: [type(result) for result in case.result] for case in suite}
    assert results == {
        "dns": [],
        "spf": [Failure],
        "dmarc": [Failure],
        "bimi": [],
        "mta_sts": [Error],
    }
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (5, 2, 1, 0)
    assert (xml.tests, xml.failures, xml.errors) == (5, 2, 1)
    spf = next(case for case in suite if case.name == "spf")
    assert "spf.multiple_records" in spf.result[0].text
    assert "low: spf.x" in spf.system_out


def test_junit_escapes_what_xml_cannot_have() -> None:
    text = junit.document([HOSTILE_RESULTS], "low")
    [suite] = JUnitXml.fromstring(text.encode())
    assert [type(result) for case in suite for result in case.result] == [Failure, Error]


def test_terminal_gets_no_control_characters() -> None:
    assert output.printable(HOSTILE).isprintable()
    assert output.printable("é\n") == "é\n"


@pytest.mark.parametrize(
    ("severities", "threshold", "is_undetermined", "expected"),
    [
        (["critical"], None, False, Exit.OK),
        (["medium"], "high", False, Exit.OK),
        (["medium"], "medium", False, Exit.FINDINGS),
        (["info"], "low", False, Exit.OK),
        (["unheard-of"], "critical", False, Exit.FINDINGS),
        ([], "low", True, Exit.UNDETERMINED),
        (["high"], "low", True, Exit.FINDINGS),
        ([], None, True, Exit.UNDETERMINED),
    ],
)
def test_exit_status(
    severities: list[str], threshold: Any, is_undetermined: bool, expected: Exit
) -> None:
    assert status(severities, threshold, is_undetermined=is_undetermined) is expected

"""JUnit XML: one test case for each check.

A check with findings at or above the threshold is a failure, and one that is undetermined an error.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from mailwatch.formats.results import Results
from mailwatch.formats.severities import Threshold, reaches
from mailwatch.generated.models import CheckResult, Finding


def document(results: Sequence[Results], threshold: Threshold) -> str:
    """Return the test suites, one for each domain."""
    root = ET.Element("testsuites", name="mailwatch")
    for result in results:
        _add_suite(root, result, threshold)
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, 0)) for suite in root)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_suite(root: ET.Element, result: Results, threshold: Threshold) -> None:
    suite = ET.SubElement(root, "testsuite", name=result["domainName"])
    cases = [_add_case(suite, result, check, threshold) for check in result["checks"]]
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("errors", str(sum(case.find("error") is not None for case in cases)))
    suite.set("skipped", "0")
    suite.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")


def _add_case(
    suite: ET.Element, result: Results, check: CheckResult, threshold: Threshold
) -> ET.Element:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=f"mailwatch.{result['domainName']}",
        name=check["check"],
        time=f"{check['elapsedMs'] / 1000:.3f}",
    )
    failing = [item for item in check["findings"] if reaches(item["severity"], threshold)]
    others = [item for item in check["findings"] if item not in failing]
    if failing:
        failure = ET.SubElement(
            case, "failure", message=_legal(failing[0]["summary"]), type=failing[0]["code"]
        )
        failure.text = "\n".join(map(_line, failing))
    elif check["verdict"] == "undetermined":
        message = _legal(check["reason"] or "DNS or a server did not answer")
        ET.SubElement(case, "error", message=message, type="undetermined")
    if others:
        ET.SubElement(case, "system-out").text = "\n".join(map(_line, others))
    return case


def _line(finding: Finding) -> str:
    text = f"{finding['severity']}: {finding['code']} {finding['subject']}: {finding['summary']}"
    fix = finding["fix"]
    if fix:
        text += f"\n  {fix['action']} {fix['name']} {fix['type']} {fix['after'] or ''}".rstrip()
    return _legal(text)


def _legal(text: str) -> str:
    """Return the text with the characters escaped that XML cannot have."""
    return "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1]
        for character in text
    )

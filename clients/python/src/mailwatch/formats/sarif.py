"""SARIF 2.1.0 (OASIS): findings for code scanning.

A domain has no file, but code scanning needs one: the location of a finding is the path of a file
of the repository, or the name of the domain. ``logicalLocations`` has the name of the record.
"""

from collections.abc import Sequence
from typing import Any

from mailwatch.formats import results
from mailwatch.formats.results import Results
from mailwatch.generated.models import Finding
from mailwatch.version import VERSION

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
# Code scanning of GitHub derives its own severities from these scores.
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.0", "low": "3.0", "info": "0.0"}

Json = dict[str, Any]


def document(checked: Sequence[Results], *, path: str | None = None) -> Json:
    """Return the log with one run for each domain; findings of severity info are left out.

    path  of the file in the repository that the findings are about
    """
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [_run(result, path or result["domainName"]) for result in checked],
    }


def _run(result: Results, uri: str) -> Json:
    findings = [item for item in results.findings(result) if item["severity"] != "info"]
    rules = {item["code"]: item for item in findings}
    undetermined = results.undetermined(result)
    notifications = [
        {
            "level": "warning",
            "message": {"text": f"{check['check']} is undetermined: {check['reason']}"},
        }
        for check in undetermined
    ]
    return {
        "tool": {
            "driver": {
                "name": "mailwatch",
                "version": VERSION,
                "rules": [_rule(item) for item in rules.values()],
            }
        },
        "automationDetails": {"id": f"mailwatch/{result['domainName']}"},
        "invocations": [
            {
                "executionSuccessful": not undetermined,
                "toolExecutionNotifications": notifications,
            }
        ],
        "results": [_result(item, list(rules).index(item["code"]), uri) for item in findings],
    }


def _rule(finding: Finding) -> Json:
    help_text = " ".join(filter(None, (finding["why"], finding["remediation"])))
    rule: Json = {
        "id": finding["code"],
        "shortDescription": {"text": finding["summary"]},
        "fullDescription": {"text": finding["why"] or finding["summary"]},
        "help": {"text": help_text or finding["summary"]},
        "properties": {
            "tags": ["security", "email"],
            "security-severity": _SCORES.get(finding["severity"], "5.0"),
            "reference": finding["reference"],
        },
    }
    if finding["docsUrl"]:
        rule["helpUri"] = finding["docsUrl"]
    return rule


def _result(finding: Finding, index: int, uri: str) -> Json:
    text = f"{finding['subject']}: {finding['summary']}."
    fix = finding["fix"]
    if fix:
        text += f" {fix['action'].capitalize()} {fix['name']} {fix['type']}"
        text += f": {fix['after']}" if fix["after"] else ""
    return {
        "ruleId": finding["code"],
        "ruleIndex": index,
        "level": _LEVELS.get(finding["severity"], "warning"),
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": uri}},
                "logicalLocations": [
                    {"fullyQualifiedName": finding["subject"], "kind": "resource"}
                ],
            }
        ],
        "partialFingerprints": {"codeAndSubject/v1": f"{finding['code']}:{finding['subject']}"},
    }

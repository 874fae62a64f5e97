"""The parts of a route's data that a tool returns."""

from collections.abc import Mapping
from typing import Any

from pydantic.alias_generators import to_camel

from app.api.docs import runbooks
from app.api.mcp import schemas
from app.errors import InvalidRequest
from app.services.core import finding_docs

Json = dict[str, Any]

_CHECK = [to_camel(name) for name in schemas.PostureCheck.model_fields]
_FINDING = [to_camel(name) for name in schemas.PostureFinding.model_fields]


def posture(status: Json, _: Mapping[str, Any]) -> Json:
    """Return the verdicts and findings without records, facts and evidence."""
    return {**status, "checks": [_check(check) for check in status["checks"]]}


def _check(check: Json) -> Json:
    findings = [{name: item[name] for name in _FINDING} for item in check["findings"]]
    return {**{name: check[name] for name in _CHECK}, "findings": findings}


def evidence(status: Json, arguments: Mapping[str, Any]) -> Json:
    """Return the result of one check."""
    name = arguments["check"]
    result = next((check for check in status["checks"] if check["check"] == name), None)
    reason = result["undeterminedReason"] if result else status["undeterminedChecks"].get(name)
    return {
        "domainName": status["domainName"],
        "undeterminedReason": reason,
        "result": result,
    }


def explanation(checks: list[Json], arguments: Mapping[str, Any]) -> Json:
    """Return the documentation of a finding code, or of an alert type.

    raises  InvalidRequest for an unknown code
    """
    code = arguments["code"]
    for check in checks:
        for finding in check["findings"]:
            if finding["code"] == code:
                return dict(finding)
    for runbook in runbooks.runbooks():
        if runbook.type == code:
            return {
                "code": code,
                "severity": runbook.severity,
                "summary": runbook.meaning,
                "why": None,
                "remediation": runbook.advice,
                "docsUrl": finding_docs.docs_url(code),
                "reference": None,
            }
    message = f"unknown code {code!r}. Codes are in findings and alerts, such as dmarc.missing"
    raise InvalidRequest.field("code", message)

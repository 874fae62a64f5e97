"""The documentation of findings: why they matter, what to do, and where to read more."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from app import settings
from app.checks import CHECKS, FINDING_TYPES
from app.checks.engine.observation import UNKNOWN, observation
from app.checks.engine.types import Check


class Explanation(TypedDict):
    """The texts about a code; None for a code without a finding type, such as that of a rule."""

    why: str | None
    remediation: str | None
    docsUrl: str


def explain(code: str) -> Explanation:
    """Return why findings of this code matter, what to do about them, and their documentation."""
    kind = FINDING_TYPES.get(code)
    return {
        "why": kind.why if kind else None,
        "remediation": kind.remediation if kind else None,
        "docsUrl": docs_url(code),
    }


def observed(code: str, subject: str, evidence: Mapping[str, Any]) -> str:
    """Return what a finding observed, in words; code is in back quotes."""
    kind = FINDING_TYPES.get(code)
    return observation(kind.observed if kind else UNKNOWN, subject, evidence)


def catalog() -> Sequence[dict[str, Any]]:
    """Return all checks with their finding types as JSON, in the order of a report."""
    return [
        {
            "name": check.name,
            "logicVersion": check.logic_version,
            "question": _question(check),
            "findings": [
                {
                    "code": kind.code,
                    "severity": kind.severity,
                    "summary": kind.summary,
                    **explain(kind.code),
                    "reference": kind.reference,
                }
                for kind in check.finds
            ],
        }
        for check in CHECKS
    ]


def docs_url(code: str) -> str:
    """Return the URL of the documentation of a finding code or an alert type."""
    return f"{settings.current().base_url}/docs/alerts#{code}"


def _question(check: Check) -> str:
    """The first sentence of the check's docstring."""
    return (check.run.__doc__ or "").partition("\n")[0]

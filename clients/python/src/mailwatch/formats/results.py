"""The results of all checks of a domain."""

from collections.abc import Iterator, Sequence
from typing import TypedDict

from mailwatch.generated.models import CheckResult, Finding, ScoreMark


class Results(TypedDict):
    """The results of a scan."""

    domainName: str
    score: ScoreMark | None
    checks: Sequence[CheckResult]
    scanId: str


def findings(results: Results) -> Iterator[Finding]:
    """Yield the findings of all checks."""
    for check in results["checks"]:
        yield from check["findings"]


def undetermined(results: Results) -> list[CheckResult]:
    """Return the checks without a result, because DNS or a server did not answer."""
    return [check for check in results["checks"] if check["verdict"] == "undetermined"]

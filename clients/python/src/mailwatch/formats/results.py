"""The results of all checks of a domain, from a scan of a service or from checks without one."""

from collections.abc import Iterator, Sequence
from typing import NotRequired, TypedDict

from mailwatch.generated.models import CheckResult, Finding, ScoreMark


class Results(TypedDict):
    """The results; ``scanId`` only if a service has the scan."""

    domainName: str
    score: ScoreMark | None
    checks: Sequence[CheckResult]
    scanId: NotRequired[str]


def findings(results: Results) -> Iterator[Finding]:
    """Yield the findings of all checks."""
    for check in results["checks"]:
        yield from check["findings"]


def undetermined(results: Results) -> list[CheckResult]:
    """Return the checks without a result, because DNS or a server did not answer."""
    return [check for check in results["checks"] if check["verdict"] == "undetermined"]

"""Check results as the JSON that is stored with a scan and returned by the API."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from app.checks.engine import stored_results
from app.checks.engine.stored_results import StoredCheck, StoredFinding, StoredLastResult
from app.checks.engine.types import CheckResult, Finding, Verdict
from app.services.core import finding_docs


def with_documentation(check: StoredCheck) -> dict[str, Any]:
    """Return a check as the API returns it: each finding with its texts and ``docsUrl``."""
    findings = [_documented(item) for item in check["findings"]]
    return {**check, "findings": findings}


def finding(item: Finding) -> dict[str, Any]:
    """Return a finding as the API returns it: with its texts and ``docsUrl``."""
    return _documented(stored_results.finding_as_json(item))


def _documented(item: StoredFinding) -> dict[str, Any]:
    code = item["code"]
    observed = finding_docs.observed(code, item["subject"], item["evidence"])
    return {**finding_docs.explain(code), "observed": observed, **item}


def duration_ms(started_at: datetime | None, finished_at: datetime | None) -> int | None:
    """Return how long a scan took; None before it has finished."""
    if started_at is None or finished_at is None:
        return None
    return round((finished_at - started_at).total_seconds() * 1000)


def verdict_changes(
    before: Mapping[str, StoredLastResult], after: Mapping[str, StoredLastResult]
) -> dict[str, list[str]]:
    """Return the definite verdicts before and after, of the checks where they differ."""
    return {
        check: [before[check]["verdict"], result["verdict"]]
        for check, result in after.items()
        if check in before and before[check]["verdict"] != result["verdict"]
    }


def last_result(check: StoredLastResult) -> dict[str, Any]:
    """Return the last definite result of a check as the API returns it."""
    stored = with_documentation(check)
    former = stored.pop("judgedAt", None)  # the name of ``checkedAt`` in results before 0.2.0
    return {"checkedAt": former, **stored}


def summary(results: Iterable[CheckResult]) -> dict[str, int]:
    """Return the number of checks by verdict, with all five verdicts."""
    counts = Counter(result.verdict for result in results)
    return {verdict.value: counts[verdict] for verdict in Verdict}


def merge_known_results(
    last_results: Mapping[str, StoredLastResult],
    results: Iterable[tuple[CheckResult, StoredCheck]],
    *,
    scan_id: str,
    checked_at: str,
) -> tuple[dict[str, StoredLastResult], dict[str, str]]:
    """Return the last definite results by check after a scan, and why checks are undetermined.

    results  each with its JSON; an undetermined result leaves the last definite one unchanged
    """
    merged, undetermined = dict(last_results), {}
    for result, stored in results:
        if result.definite:
            merged[result.check] = {**stored, "scanId": scan_id, "checkedAt": checked_at}
        else:
            undetermined[result.check] = result.reason or "the server did not answer"
    return merged, undetermined

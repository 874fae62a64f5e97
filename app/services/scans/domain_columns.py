"""The columns of a domain that a scan writes, so that lists need no other table."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.rules.engine.types import ScorePoint

NAMES = (
    *("score", "grade", "score_version", "score_change", "dmarc_policy", "profile_results"),
    *("last_scan_id", "last_scan_finished_at"),
)
MISSING = "missing"  # the policy of a domain without a valid record


def of_results(
    last_results: Mapping[str, Any], score: Mapping[str, Any], score_history: Sequence[ScorePoint]
) -> dict[str, Any]:
    """Return the columns that follow from the results and the comparable scores of a week."""
    history = [point.value for point in score_history]
    return {
        "score": score["value"],
        "grade": score["grade"],
        "score_version": score["version"],
        "score_change": history[-1] - history[0] if len(history) > 1 else None,
        "dmarc_policy": _policy(last_results.get("dmarc")),
    }


def _policy(result: Mapping[str, Any] | None) -> str | None:
    """Return the policy that applies; None without a definite result."""
    return None if result is None else result["facts"].get("effective_policy") or MISSING

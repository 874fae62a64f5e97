"""Alerts about low and dropped scores."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from app.checks.engine.types import Severity
from app.protocols.names import DomainName
from app.rules.engine.reconcile import plan
from app.rules.engine.types import Posture, ScorePoint
from app.rules.scans import score

NOW = datetime(2026, 1, 31, tzinfo=UTC)
DOMAIN = DomainName("example.org")


def score_points(*values: tuple[float, int, str]) -> list[ScorePoint]:
    """Store points of (days ago, value, grade) as scans do."""
    points: list[ScorePoint] = []
    for days, value, grade in values:
        points = score.retained(points, ScorePoint(NOW - timedelta(days=days), value, grade))
    return points


def opened_severities(history: Sequence[ScorePoint]) -> dict[str, Severity]:
    posture = Posture(DOMAIN, NOW, {}, score_history=history)
    return {draft.type: draft.severity for draft in plan((), posture, score.RULES).opened}


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([(0, 80, "B")], {}),
        ([(1, 80, "B"), (0, 71, "B")], {}),
        ([(1, 80, "B"), (0, 70, "B")], {"score.dropped": Severity.MEDIUM}),
        ([(1, 80, "B"), (0, 79, "C")], {"score.grade_changed": Severity.MEDIUM}),
        ([(1, 79, "C"), (0, 80, "B")], {"score.grade_changed": Severity.INFO}),
        ([(0, 49, "E")], {"score.below_threshold": Severity.MEDIUM}),
        ([(0, 50, "E")], {}),
        ([(30, 90, "A"), (0, 75, "A")], {"score.dropped": Severity.MEDIUM}),
        ([(30, 90, "A"), (8, 75, "A"), (0, 75, "A")], {}),
        ([(3, 90, "A"), (2, 70, "A"), (0, 89, "A")], {}),
    ],
)
def test_score_is_compared_with_the_previous_week(
    history: list[tuple[float, int, str]], expected: dict[str, Severity]
) -> None:
    assert opened_severities(score_points(*history)) == expected


def test_rule_is_undecided_without_a_score() -> None:
    (rule,) = score.RULES
    assert rule.evaluate(Posture(DOMAIN, NOW, {})) is None


def test_score_history_is_bounded() -> None:
    hourly = [(hours / 24, 50 + hours % 2, "C") for hours in range(24 * 30, -1, -1)]
    assert len(score_points(*hourly)) <= 24 * 7 + 2

"""Scores that deserve an alert: they fell, changed their grade, or are low."""

from collections.abc import Iterator
from datetime import timedelta

from app.checks.engine.types import Severity
from app.protocols import timestamps
from app.rules.engine.types import AlertDraft, Posture, Rule, ScorePoint

WINDOW = timedelta(days=7)  # what a score is compared with
MIN_DROP = 10
MIN_SCORE = 50

DROPPED, CHANGED, LOW = "score.dropped", "score.grade_changed", "score.below_threshold"


def retained(marks: list[ScorePoint], latest: ScorePoint) -> list[ScorePoint]:
    """The marks of the window with the latest, and the one that held when the window began."""
    if not marks or (marks[-1].value, marks[-1].grade) != (latest.value, latest.grade):
        marks = [*marks, latest]
    begin = latest.at - WINDOW
    older = [mark for mark in marks if mark.at <= begin]
    return [*older[-1:], *(mark for mark in marks if mark.at > begin)]


def _alerts(posture: Posture) -> Iterator[AlertDraft]:
    latest = posture.score_history[-1]
    best = max(posture.score_history, key=lambda mark: mark.value)
    if best.value - latest.value >= MIN_DROP:
        yield AlertDraft(
            DROPPED, posture.domain, Severity.MEDIUM, "The score fell",
            f"{posture.domain}: the score fell from {best.value} to {latest.value} within "
            f"{WINDOW.days} days.",
            {"baseline": best.value, "observed": latest.value, "threshold": MIN_DROP,
             "baselineAt": timestamps.text(best.at)},
        )  # fmt: skip
    if latest.value < MIN_SCORE:
        yield AlertDraft(
            LOW, posture.domain, Severity.MEDIUM, "The score is low",
            f"{posture.domain}: the score is {latest.value}; it should be {MIN_SCORE} at least.",
            {"observed": latest.value, "threshold": MIN_SCORE},
        )  # fmt: skip
    first = posture.score_history[0]
    if first.grade != latest.grade:
        is_worse = latest.value < first.value
        yield AlertDraft(
            CHANGED, posture.domain, Severity.MEDIUM if is_worse else Severity.INFO,
            f"The grade {'fell' if is_worse else 'rose'}",
            f"{posture.domain}: the grade went from {first.grade} to {latest.grade} within "
            f"{WINDOW.days} days.",
            {"before": first.grade, "after": latest.grade, "beforeAt": timestamps.text(first.at)},
        )  # fmt: skip


def _judge(posture: Posture) -> Iterator[AlertDraft] | None:
    return _alerts(posture) if posture.score_history else None


def _resolution_evidence(posture: Posture) -> dict[str, object]:
    return {"observed": posture.score_history[-1].value, "grade": posture.score_history[-1].grade}


RULES = (Rule(frozenset((DROPPED, CHANGED, LOW)), _judge, _resolution_evidence),)

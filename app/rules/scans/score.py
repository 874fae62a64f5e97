"""Alerts on security scores that dropped, changed their grade, or are low."""

from collections.abc import Iterator
from datetime import timedelta

from app.checks.engine.types import Severity
from app.protocols import timestamps
from app.protocols.json_values import JsonObject
from app.rules.engine.types import AlertDraft, Posture, Rule, ScorePoint

WINDOW = timedelta(days=7)  # the period that a score is compared with
MIN_DROP = 10
MIN_SCORE = 50

DROPPED, CHANGED, LOW = "score.dropped", "score.grade_changed", "score.below_threshold"


def retained(score_history: list[ScorePoint], latest: ScorePoint) -> list[ScorePoint]:
    """The scores of the window with the latest, and the one that held when the window began."""
    if not score_history or (score_history[-1].value, score_history[-1].grade) != (
        latest.value,
        latest.grade,
    ):
        score_history = [*score_history, latest]
    begin = latest.at - WINDOW
    older = [point for point in score_history if point.at <= begin]
    return [*older[-1:], *(point for point in score_history if point.at > begin)]


def _alerts(posture: Posture) -> Iterator[AlertDraft]:
    latest = posture.score_history[-1]
    yield from _dropped(posture, latest)
    if latest.value < MIN_SCORE:
        yield AlertDraft(
            type=LOW,
            subject=posture.domain,
            severity=Severity.MEDIUM,
            title=f"Score {latest.value}/100 is below your threshold of {MIN_SCORE}",
            message=f"{posture.domain}: the security score is {latest.value} of 100. The domain "
            "page lists what to fix, starting with what gains the most points.",
            evidence={"observed": latest.value, "threshold": MIN_SCORE},
        )
    yield from _grade_changed(posture, latest)


def _dropped(posture: Posture, latest: ScorePoint) -> Iterator[AlertDraft]:
    best = max(posture.score_history, key=lambda point: point.value)
    if best.value - latest.value >= MIN_DROP:
        yield AlertDraft(
            type=DROPPED,
            subject=posture.domain,
            severity=Severity.MEDIUM,
            title="Security score dropped",
            message=f"{posture.domain}: the security score dropped from {best.value} to "
            f"{latest.value} within {WINDOW.days} days. The domain page lists what to fix.",
            evidence={
                "baseline": best.value,
                "observed": latest.value,
                "threshold": MIN_DROP,
                "baselineAt": timestamps.text(best.at),
            },
        )


def _grade_changed(posture: Posture, latest: ScorePoint) -> Iterator[AlertDraft]:
    first = posture.score_history[0]
    if first.grade != latest.grade:
        is_worse = latest.value < first.value
        yield AlertDraft(
            type=CHANGED,
            subject=posture.domain,
            severity=Severity.MEDIUM if is_worse else Severity.INFO,
            title=f"Security grade {'dropped' if is_worse else 'improved'} to {latest.grade}",
            message=f"{posture.domain}: the security grade changed from {first.grade} to "
            f"{latest.grade} within {WINDOW.days} days.",
            evidence={
                "before": first.grade,
                "after": latest.grade,
                "beforeAt": timestamps.text(first.at),
            },
        )


def _judge(posture: Posture) -> Iterator[AlertDraft] | None:
    return _alerts(posture) if posture.score_history else None


def _resolution_evidence(posture: Posture) -> JsonObject:
    return {"observed": posture.score_history[-1].value, "grade": posture.score_history[-1].grade}


RULES = (Rule(frozenset((DROPPED, CHANGED, LOW)), _judge, _resolution_evidence),)

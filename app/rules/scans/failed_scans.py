"""Alerts on domains whose scans fail, as changes in DNS then go unnoticed."""

from collections.abc import Iterator

from app.checks.engine.types import Severity
from app.rules.engine.types import AlertDraft, Posture, Rule

FAILED = "scan.failed_repeatedly"
MIN_FAILED_SCANS = 2


def _alerts(posture: Posture) -> Iterator[AlertDraft]:
    if posture.failed_scans >= MIN_FAILED_SCANS:
        yield AlertDraft(
            type=FAILED,
            subject=posture.domain,
            severity=Severity.MEDIUM,
            title="Consecutive scans failed",
            message=f"{posture.domain}: the last {posture.failed_scans} scans failed, so changes "
            "in DNS go unnoticed. Check the workers' log, and start a new scan.",
            evidence={"observed": posture.failed_scans, "threshold": MIN_FAILED_SCANS},
        )


RULES = (Rule(frozenset((FAILED,)), _alerts),)

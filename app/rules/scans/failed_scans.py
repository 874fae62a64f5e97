"""Scans that do not end: then nothing is watched, and that must not look like peace."""

from collections.abc import Iterator

from app.checks.engine.types import Severity
from app.rules.engine.types import AlertDraft, Posture, Rule

FAILED = "scan.failed_repeatedly"
MIN_FAILED_SCANS = 2


def _alerts(posture: Posture) -> Iterator[AlertDraft]:
    if posture.failed_scans >= MIN_FAILED_SCANS:
        yield AlertDraft(
            FAILED, posture.domain, Severity.MEDIUM, "Scans fail",
            f"{posture.domain}: the last {posture.failed_scans} scans failed, so what changes now "
            "is not seen. Look at the workers' log, and trigger a scan.",
            {"observed": posture.failed_scans, "threshold": MIN_FAILED_SCANS},
        )  # fmt: skip


RULES = (Rule(frozenset((FAILED,)), _alerts),)

"""Counts the lifecycle events of scans, report files, reports, alerts and deliveries."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from app.metrics.definitions import (
    ALERT_EVENTS,
    DELIVERIES,
    REPORT_FILES,
    SCAN_ATTEMPTS_LOST,
    SCAN_SECONDS,
    SCANS,
    SKIPPED_RECORDS,
)

Fields = Mapping[str, Any]


def count(event: str, fields: Fields) -> None:
    """Count one event of ``app.services.core.lifecycle_log``; many events are not counted."""
    counting = _COUNTING.get(event)
    if counting is not None:
        counting(fields)


def _scan_completed(fields: Fields) -> None:
    SCANS.add("completed")
    if fields["duration_ms"] is not None:
        SCAN_SECONDS.observe(fields["duration_ms"] / 1000)


def _report_partial(fields: Fields) -> None:
    for reason, number in fields["skipped_reasons"].items():
        SKIPPED_RECORDS.add(fields["kind"], reason, amount=number)


def _scan(status: str, _: Fields) -> None:
    SCANS.add(status)


def _scan_requeued(_: Fields) -> None:
    SCAN_ATTEMPTS_LOST.add()


def _report_file(status: str, fields: Fields) -> None:
    REPORT_FILES.add(status, fields.get("reason") or "")


def _delivery(outcome: str, _: Fields) -> None:
    DELIVERIES.add(outcome)


def _alert(event: str, _: Fields) -> None:
    ALERT_EVENTS.add(event)


_COUNTING: Mapping[str, Callable[[Fields], None]] = {
    "scan.completed": _scan_completed,
    "scan.failed": partial(_scan, "failed"),
    "scan.cancelled": partial(_scan, "cancelled"),
    "scan.requeued": _scan_requeued,
    "report.partial": _report_partial,
    **{
        f"report_file.{status}": partial(_report_file, status)
        for status in ("parsed", "duplicate", "conflict", "unattributed", "rejected")
    },
    **{f"delivery.{outcome}": partial(_delivery, outcome) for (outcome,) in DELIVERIES.initial},
    **{f"alert.{event}": partial(_alert, event) for (event,) in ALERT_EVENTS.initial},
}

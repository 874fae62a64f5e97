"""Log lines and metrics about scans, report files, reports, alerts and deliveries.

Each change of state is one line at ``info`` with a stable name in ``event`` and the ids of the
rows, and ``app.metrics.lifecycle`` counts it. docs/operating.md explains every event.
"""

import logging
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from app.db.transactions import after_commit
from app.metrics import lifecycle

logger = logging.getLogger(__name__)


class Lifecycle(StrEnum):
    """The events; a name never changes its meaning."""

    SCAN_QUEUED = "scan.queued"
    SCAN_STARTED = "scan.started"
    SCAN_COMPLETED = "scan.completed"
    SCAN_REQUEUED = "scan.requeued"
    SCAN_FAILED = "scan.failed"
    SCAN_CANCELLED = "scan.cancelled"
    REPORT_FILE_RECEIVED = "report_file.received"
    REPORT_FILE_PARSED = "report_file.parsed"
    REPORT_FILE_DUPLICATE = "report_file.duplicate"
    REPORT_FILE_CONFLICT = "report_file.conflict"
    REPORT_FILE_UNATTRIBUTED = "report_file.unattributed"
    REPORT_FILE_REJECTED = "report_file.rejected"
    REPORT_FILE_REQUEUED = "report_file.requeued"
    REPORT_STORED = "report.stored"
    REPORT_PARTIAL = "report.partial"
    REPORT_REPLACED = "report.replaced"
    ALERT_OPENED = "alert.opened"
    ALERT_ESCALATED = "alert.escalated"
    ALERT_REMINDED = "alert.reminded"
    ALERT_ACKNOWLEDGED = "alert.acknowledged"
    ALERT_SNOOZED = "alert.snoozed"
    ALERT_DISMISSED = "alert.dismissed"
    ALERT_REOPENED = "alert.reopened"
    ALERT_RESOLVED = "alert.resolved"
    DELIVERY_SENT = "delivery.sent"
    DELIVERY_FAILED = "delivery.failed"
    DELIVERY_ABANDONED = "delivery.abandoned"
    DELIVERY_SKIPPED = "delivery.skipped"


def record(session: Session, event: Lifecycle, **fields: Any) -> None:
    """Log and count the event once the caller's transaction is committed.

    fields  ids and short codes; never content, names of people or secrets
    """
    after_commit(session, lambda: _write(event, fields))


def _write(event: Lifecycle, fields: dict[str, Any]) -> None:
    lifecycle.count(event.value, fields)
    message = event.value.replace(".", " ").replace("_", " ")
    logger.info(message, extra={"event": event.value, **fields})

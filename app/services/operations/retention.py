"""Applying the retention rules, and a preview of what they would delete.

Each batch is deleted in a separate transaction, so that locks are short.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.db import transactions
from app.db.transactions import transaction
from app.models import Base, DmarcReport
from app.services.core import account_rows
from app.services.operations import retention_rules
from app.services.operations.retention_rules import Rule
from app.services.rollups import rollup_queue

logger = logging.getLogger(__name__)

REPORTS_BATCH_SIZE = 50  # each is removed from the rollups of its domain
RUN_SECONDS = 600.0  # so that the clock process can run other tasks; the next run continues


@dataclass(frozen=True, slots=True)
class Preview:
    """The number of rows that a rule would delete; ``days`` is None for a fixed time."""

    name: str
    table: str
    what: str
    setting: str
    days: int | None
    rows: int


def preview(now: datetime | None = None) -> Sequence[Preview]:
    """Return what ``run`` would delete at that time, by rule; dependent rows are not counted."""
    with transaction(readonly=True) as session:
        now = now or transactions.now(session)
        return [
            Preview(
                name=rule.name,
                table=rule.table,
                what=rule.what,
                setting=rule.setting,
                days=rule.days,
                rows=_count(session, rule, now),
            )
            for rule in retention_rules.RULES
        ]


def run(now: datetime | None = None) -> Mapping[str, int]:
    """Apply the rules; return the number of deleted rows of each rule that deleted any.

    now      the time to apply the rules for; by default the clock of the database
    effects  stops after RUN_SECONDS; the next run continues
    """
    deleted: dict[str, int] = {}
    until = time.monotonic() + RUN_SECONDS
    for rule in retention_rules.RULES:
        while time.monotonic() < until:
            count, is_done = _delete_batch(rule, now)
            if count:
                deleted[rule.name] = deleted.get(rule.name, 0) + count
            if is_done:
                break
    if deleted:
        logger.info("retention", extra={"deleted": deleted})
    return deleted


def _count(session: Session, rule: Rule, now: datetime) -> int:
    table = Base.metadata.tables[rule.table]
    condition = retention_rules.rows(rule, now)
    return session.scalar(select(func.count()).select_from(table).where(condition)) or 0


def _delete_batch(rule: Rule, now: datetime | None) -> tuple[int, bool]:
    """Delete one batch; return the number of rows, and whether it was the last batch."""
    table = Base.metadata.tables[rule.table]
    with transaction() as session:
        condition = retention_rules.rows(rule, now or transactions.now(session))
        if rule.table == "dmarc_reports":
            count = _delete_reports(session, condition)
            return count, count < REPORTS_BATCH_SIZE
        count = account_rows.delete_batch(session, table, condition)
        return count, count < account_rows.batch_size(table)


def _delete_reports(session: Session, condition: ColumnElement[bool]) -> int:
    """Delete aggregate reports, and remove them from the rollups of their domain."""
    reports = session.scalars(
        select(DmarcReport)
        .where(condition)
        .order_by(DmarcReport.domain_id, DmarcReport.id)
        .limit(REPORTS_BATCH_SIZE)
        .with_for_update(skip_locked=True, of=DmarcReport)
    ).all()
    for report in reports:
        rollup_queue.unroll(session, report.id)
        session.delete(report)
        session.flush()
    return len(reports)

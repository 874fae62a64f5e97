"""Deleting what has been stored for long enough, by the rules; and saying first what that would be.

Each batch is a transaction of its own, so that its locks are short.
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
from app.services.analytics import rollup_queue
from app.services.core import account_rows
from app.services.operations import retention_rules
from app.services.operations.retention_rules import Rule

logger = logging.getLogger(__name__)

REPORTS_BATCH_SIZE = 50  # each is taken out of its domain's figures
RUN_SECONDS = 600.0  # the clock has other things to do; the next run goes on


@dataclass(frozen=True, slots=True)
class Preview:
    """How many rows a rule would delete now; ``days`` is None for a fixed time."""

    name: str
    table: str
    what: str
    setting: str
    days: int | None
    rows: int


def preview(now: datetime | None = None) -> Sequence[Preview]:
    """What ``run`` would delete at a moment (now), by rule; rows below others are not counted."""
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
    """Delete what the rules say; how many rows, by rule. Rules that deleted nothing are left out.

    moment   that counts as now; the database's clock by default
    effects  ends after RUN_SECONDS; the next run continues
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
    """How many rows this deleted, and whether that was the last batch."""
    table = Base.metadata.tables[rule.table]
    with transaction() as session:
        condition = retention_rules.rows(rule, now or transactions.now(session))
        if rule.table == "dmarc_reports":
            count = _delete_reports(session, condition)
            return count, count < REPORTS_BATCH_SIZE
        count = account_rows.delete_batch(session, table, condition)
        return count, count < account_rows.batch_size(table)


def _delete_reports(session: Session, condition: ColumnElement[bool]) -> int:
    """Delete aggregate reports, and take them out of what their domain's reports add up to."""
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

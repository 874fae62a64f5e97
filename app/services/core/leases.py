"""Leases of rows that are scheduled jobs: a row is due at ``due_at``, and one worker leases it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update

from app.db import transactions
from app.db.transactions import transaction
from app.models import ReportMonitor, SenderHost

LEASE = timedelta(minutes=5)

Table = type[ReportMonitor] | type[SenderHost]


def is_due(table: Table, now: datetime) -> ColumnElement[bool]:
    """Condition for rows that are due and not leased."""
    return and_(table.due_at <= now, or_(table.lease_until.is_(None), table.lease_until < now))


def claim(table: Table, limit: int) -> Sequence[Any]:
    """Lease up to ``limit`` due rows, the longest waiting first, and return their keys."""
    (column,) = table.__table__.primary_key
    key = getattr(table, column.name)
    with transaction() as session:
        now = transactions.now(session)
        keys = session.scalars(
            select(key)
            .where(is_due(table, now))
            .order_by(table.due_at, key)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).all()
        session.execute(update(table).where(key.in_(keys)).values(lease_until=now + LEASE))
    return keys

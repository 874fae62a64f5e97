"""Rows that are jobs of their own: each has its turn at ``due_at``, and is whose lease it has."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update

from app.db.transactions import now, transaction
from app.models import ReportMonitor, SenderHost

LEASE = timedelta(minutes=5)

Table = type[ReportMonitor] | type[SenderHost]


def is_due(table: Table, moment: datetime) -> ColumnElement[bool]:
    """Its turn has come, and nobody is at it."""
    return and_(
        table.due_at <= moment, or_(table.lease_until.is_(None), table.lease_until < moment)
    )


def claim(table: Table, limit: int) -> Sequence[Any]:
    """The keys of some rows that are due, the longest waiting first; they are the caller's now."""
    (column,) = table.__table__.primary_key
    key = getattr(table, column.name)
    with transaction() as session:
        moment = now(session)
        chosen = session.scalars(
            select(key)
            .where(is_due(table, moment))
            .order_by(table.due_at, key)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).all()
        session.execute(update(table).where(key.in_(chosen)).values(lease_until=moment + LEASE))
    return chosen

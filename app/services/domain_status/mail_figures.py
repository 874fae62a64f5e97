"""The messages of each domain in the last 30 days and by day, counted in advance for lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, case, delete, func, insert, or_, select
from sqlalchemy.orm import Session

from app.analysis.mail.periods import WEEK, hour_of
from app.db import bulk
from app.db.transactions import now, transaction
from app.models import DmarcHour, DmarcWeek, Domain, DomainMail, DomainMailDay

DAYS = 30
BATCH_SIZE = 100  # domains in a transaction
MAX_AGE = timedelta(days=1)  # the days that are counted move on


def refresh() -> int:
    """Count the messages of domains with new reports, and of all others once a day.

    returns  the number of domains that were counted
    """
    count = 0
    while batch := _refresh_batch():
        count += batch
    return count


def _refresh_batch() -> int:
    with transaction() as session:
        due = _due(session)
        if not due:
            return 0
        days = _count(session, [row.id for row in due])
        rows = [
            {
                "domain_id": row.id,
                "account_id": row.account_id,
                "messages": sum(day.messages for day in days.get(row.id, ())),
                "passed": sum(day.passed for day in days.get(row.id, ())),
                "version": int(row.version or 0),
                "computed_at": now(session),
            }
            for row in due
        ]
        _store(session, rows)
        _store_days(session, {row.id: row.account_id for row in due}, days)
        return len(rows)


@dataclass(frozen=True, slots=True)
class _Day:
    """The messages of a day that count, and those of them that passed DMARC."""

    day: int
    messages: int
    passed: int


def _count(session: Session, domain_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[_Day]]:
    """Return the days of these domains with messages in the last 30 days."""
    start = hour_of(now(session)) - DAYS * 24
    day = DmarcHour.hour // 24
    passed = case((or_(DmarcHour.dkim, DmarcHour.spf), DmarcHour.messages), else_=0)
    rows = session.execute(
        select(
            DmarcHour.domain_id,
            day.label("day"),
            func.sum(DmarcHour.messages).label("messages"),
            func.sum(passed).label("passed"),
        )
        .where(DmarcHour.domain_id.in_(domain_ids), DmarcHour.hour >= start)
        .group_by(DmarcHour.domain_id, day)
    )
    days: dict[UUID, list[_Day]] = {}
    for row in rows:
        counted = _Day(day=int(row.day), messages=int(row.messages), passed=int(row.passed))
        days.setdefault(row.domain_id, []).append(counted)
    return days


def _store_days(
    session: Session,
    account_ids: Mapping[UUID, UUID],
    days: Mapping[UUID, Sequence[_Day]],
) -> None:
    session.execute(delete(DomainMailDay).where(DomainMailDay.domain_id.in_(account_ids)))
    rows = [
        {
            "domain_id": domain_id,
            "account_id": account_ids[domain_id],
            "day": day.day,
            "messages": day.messages,
            "passed": day.passed,
        }
        for domain_id, counted in days.items()
        for day in counted
    ]
    if rows:
        session.execute(insert(DomainMailDay), rows)


def _due(session: Session) -> Sequence[Row[Any]]:
    """The domains to count: id, account_id, version of their weeks."""
    start = hour_of(now(session)) - DAYS * 24 - WEEK
    weeks = (
        select(DmarcWeek.domain_id, func.sum(DmarcWeek.version).label("version"))
        .where(DmarcWeek.start > start)
        .group_by(DmarcWeek.domain_id)
        .subquery()
    )
    has_changed = or_(DomainMail.domain_id.is_(None), DomainMail.version != weeks.c.version)
    is_old = DomainMail.computed_at < now(session) - MAX_AGE
    changed = (
        select(Domain.id, Domain.account_id, weeks.c.version)
        .join(weeks, weeks.c.domain_id == Domain.id)
        .outerjoin(DomainMail, DomainMail.domain_id == Domain.id)
        .where(has_changed)
    )
    outdated = (
        select(Domain.id, Domain.account_id, weeks.c.version)
        .join(DomainMail, DomainMail.domain_id == Domain.id)
        .outerjoin(weeks, weeks.c.domain_id == Domain.id)
        .where(is_old)
    )
    rows = session.execute(changed.order_by(Domain.id).limit(BATCH_SIZE)).all()
    return rows or session.execute(outdated.order_by(Domain.id).limit(BATCH_SIZE)).all()


def _store(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    statement = bulk.insert(session, DomainMail)
    names = ("messages", "passed", "version", "computed_at")
    session.connection().execute(
        statement.on_conflict_do_update(
            index_elements=["domain_id"], set_={name: statement.excluded[name] for name in names}
        ),
        rows,
    )

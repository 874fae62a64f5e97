"""The table of domains in the dashboard: its rows, their number, tags, and first scans."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Text, func, select, type_coerce
from sqlalchemy.orm import Session

from app import settings
from app.models import Alert, Domain, DomainMail, Scan
from app.models.alerts import ACTIVE
from app.models.scans import UNFINISHED
from app.services.core.listing import Listing
from app.services.domain_status import domain_list, domain_orders
from app.services.domain_status.domain_list import DomainFilter

COLUMNS = (
    *domain_list.COLUMNS,
    Domain.score_change,
    Domain.dmarc_policy,
    DomainMail.messages,
    DomainMail.passed,
)
FIRST_SCANS_WINDOW = timedelta(hours=1)  # domains that were added together
FILE_COLUMNS = (
    *(("name",), ("tags",), ("policy",), ("passRate",), ("messages",), ("openAlerts",)),
    *(("score",), ("grade",), ("scoreChange",), ("schedule",), ("lastScanAt",), ("createdAt",)),
)


@dataclass(frozen=True, slots=True)
class FirstScans:
    """The first scans of the domains that were added last: how many there are, and are finished."""

    total: int
    finished: int


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, and the number of domains that have it."""

    name: str
    domains: int


def listing(account_id: UUID, filters: DomainFilter, *, has_alert_counts: bool = False) -> Listing:
    """Return the list of the account's domains that match, with rows of COLUMNS.

    has_alert_counts  each row also has ``active_alerts``
    """
    is_verification_required = settings.current().domain_verification != "off"
    return _listing(account_id, filters, is_verification_required, has_alert_counts)


@lru_cache(maxsize=512)
def _listing(
    account_id: UUID, filters: DomainFilter, is_verification_required: bool, has_counts: bool
) -> Listing:
    statement: Any = select(*COLUMNS).outerjoin(DomainMail, DomainMail.domain_id == Domain.id)
    active = None
    if has_counts or filters.sort.removeprefix("-") == "alerts":
        counts = (
            select(Alert.domain_id, func.count().label("active"))
            .where(Alert.account_id == account_id, Alert.status.in_(ACTIVE))
            .group_by(Alert.domain_id)
            .subquery()
        )
        active = func.coalesce(counts.c.active, 0)
        statement = statement.add_columns(active.label("active_alerts")).outerjoin(
            counts, counts.c.domain_id == Domain.id
        )
    statement = domain_list.filtered(statement, account_id, filters, is_verification_required)
    return Listing(statement, domain_orders.order(filters.sort, active))


def count(session: Session, account_id: UUID, filters: DomainFilter) -> int:
    """Return the number of the account's domains that match, in the caller's transaction."""
    is_verification_required = settings.current().domain_verification != "off"
    statement: Any = select(func.count(Domain.id))
    statement = domain_list.filtered(statement, account_id, filters, is_verification_required)
    return session.scalar(statement) or 0


def names(session: Session, account_id: UUID, filters: DomainFilter, limit: int) -> Sequence[str]:
    """Return the names of the domains that match, in the caller's transaction."""
    is_verification_required = settings.current().domain_verification != "off"
    statement: Any = select(Domain.name)
    statement = domain_list.filtered(statement, account_id, filters, is_verification_required)
    return session.scalars(statement.order_by(Domain.name).limit(limit)).all()


def tags(session: Session, account_id: UUID) -> Sequence[Tag]:
    """Return the account's tags by name, in the caller's transaction."""
    text = type_coerce(Domain.tags, Text)
    rows = session.execute(
        select(Domain.tags, func.count())
        .where(Domain.account_id == account_id, text != ",")
        .group_by(text)
    ).all()
    counts: Counter[str] = Counter()
    for words, number in rows:
        counts.update(dict.fromkeys(words, number))
    return [Tag(name, counts[name]) for name in sorted(counts, key=str.casefold)]


def first_scans(session: Session, account_id: UUID) -> FirstScans | None:
    """Return the progress of first scans; None if none is queued or running."""
    is_waiting = Domain.account_id == account_id, Domain.last_scan_id.is_(None)
    waiting, newest = session.execute(
        select(func.count(), func.max(Domain.created_at))
        .select_from(Domain)
        .join(Scan, Scan.domain_id == Domain.id)
        .where(*is_waiting, Scan.status.in_(UNFINISHED))
    ).one()
    if not waiting:
        return None
    finished = session.scalar(
        select(func.count())
        .select_from(Domain)
        .where(
            Domain.account_id == account_id,
            Domain.created_at > newest - FIRST_SCANS_WINDOW,
            Domain.last_scan_id.is_not(None),
        )
    )
    return FirstScans(waiting + (finished or 0), finished or 0)


def of_file(row: Any) -> Mapping[str, Any]:
    """Return a row as an item of a file."""
    return {
        "name": row.name,
        "tags": " ".join(row.tags),
        "policy": row.dmarc_policy,
        "passRate": round(row.passed / row.messages, 4) if row.messages else None,
        "messages": row.messages,
        "openAlerts": row.active_alerts,
        "score": row.score,
        "grade": row.grade,
        "scoreChange": row.score_change,
        "schedule": row.schedule,
        "lastScanAt": row.last_scan_finished_at and row.last_scan_finished_at.isoformat(),
        "createdAt": row.created_at.isoformat(),
    }

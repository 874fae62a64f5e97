"""The list of alerts in the dashboard: its order, groups, search and counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Select, func, literal_column, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql import operators

from app.checks.engine.types import Severity
from app.db.transactions import transaction
from app.models import Alert
from app.models.alerts import LIVE, SEVERITY_RANK_SQL
from app.services.alerts import alert_notes, alerts
from app.services.core import alert_types, finding_docs
from app.services.core.listing import Listing

GROUPS = ("domain", "cause")
SORTS = ("severity", "newest", "oldest")
NO_ONE = "none"  # the assignee of alerts that are not assigned
_RANK: ColumnElement[int] = literal_column(SEVERITY_RANK_SQL, Integer)
_DOMAIN = func.coalesce(Alert.domain_name, "")


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Filters, groups and order of the list.

    type      a type, or a group such as ``dmarc.*``
    domain    a part of the name
    q         a part of the title, the domain, the subject or the type
    assignee  an address, or ``NO_ONE``
    group     one of GROUPS; the groups come before the order
    """

    status: str
    severity: str | None = None
    type: str | None = None
    domain: str | None = None
    q: str | None = None
    assignee: str | None = None
    group: str | None = None
    sort: str = "severity"


@dataclass(frozen=True, slots=True)
class AlertListPage:
    """A page of the list, from one snapshot.

    alerts         rows of ``alerts.COLUMNS``
    cursor_values  those of the next page, if any
    counts         the number of matching alerts by status; those of resolved alerts are not counted
    documentation  by type: why it matters and what to do, as in ``finding_docs.explain``
    assignees      the addresses of the users whom alerts can be assigned to
    """

    alerts: Sequence[Any]
    cursor_values: list[Any] | None
    counts: Mapping[str, int]
    documentation: Mapping[str, Mapping[str, Any]]
    assignees: Sequence[str]


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The ids of the alerts before and after one in the list; None at its ends."""

    previous: UUID | None
    following: UUID | None


def page(
    account_id: UUID, filters: ListFilter, cursor_values: Sequence[Any] | None, limit: int
) -> AlertListPage:
    """Return a page of the account's alerts."""
    with transaction(readonly=True, snapshot=True) as session:
        listing = _listing(account_id, filters)
        rows, following = listing.page(cursor_values, limit, session)
        return AlertListPage(
            alerts=rows,
            cursor_values=following,
            counts=_counts(session, account_id, filters),
            documentation={
                row.type: {"code": row.type, **finding_docs.explain(row.type)} for row in rows
            },
            assignees=alert_notes.assignees(session, account_id),
        )


def neighbors(session: Session, alert: Alert, filters: ListFilter) -> Neighbors:
    """Return the neighbors of the alert in the list, even if the alert no longer matches.

    Runs in the caller's transaction.
    """
    adjacent = [
        listing.page(_position(session, listing, alert), 1, session)[0]
        for listing in (
            _listing(alert.account_id, filters, is_reversed=True),
            _listing(alert.account_id, filters),
        )
    ]
    previous, following = (rows[0].id if rows else None for rows in adjacent)
    return Neighbors(previous, following)


def _position(session: Session, listing: Listing, alert: Alert) -> list[Any]:
    """The cursor values of the alert in the list."""
    columns = [getattr(column, "element", column) for column in listing.order]
    row = session.execute(select(*columns).where(Alert.id == alert.id)).one()
    return [str(value) if isinstance(value, UUID) else value for value in row]


@lru_cache(maxsize=512)
def _listing(account_id: UUID, filters: ListFilter, *, is_reversed: bool = False) -> Listing:
    statement: Any = select(*alerts.COLUMNS).where(Alert.status == filters.status)
    statement = _matching(statement, account_id, filters)
    order = _order(filters)
    return Listing(statement, tuple(map(_reversed, order)) if is_reversed else tuple(order))


def _reversed(column: Any) -> Any:
    is_descending = getattr(column, "modifier", None) is operators.desc_op
    return column.element if is_descending else column.desc()


def _order(filters: ListFilter) -> Sequence[Any]:
    group: Mapping[str | None, Sequence[Any]] = {
        "domain": (_DOMAIN,),
        "cause": (func.coalesce(Alert.cause_id, Alert.id).desc(),),
    }
    by_severity = () if filters.severity else (_RANK,)
    order: Mapping[str, Sequence[Any]] = {
        "severity": (*by_severity, Alert.id.desc()),
        "newest": (Alert.id.desc(),),
        "oldest": (Alert.id,),
    }
    return *group.get(filters.group, ()), *order[filters.sort]


def _matching(statement: Select[Any], account_id: UUID, filters: ListFilter) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = [Alert.account_id == account_id]
    if filters.severity:
        conditions.append(_RANK.in_([Severity(filters.severity).rank]))
    if filters.type:
        conditions.append(alert_types.condition(Alert.type, filters.type))
    if filters.domain:
        conditions.append(Alert.domain_name.contains(filters.domain.lower(), autoescape=True))
    if filters.assignee:
        is_assigned = Alert.assignee == filters.assignee
        conditions.append(Alert.assignee.is_(None) if filters.assignee == NO_ONE else is_assigned)
    if filters.q:
        columns = (Alert.title, Alert.domain_name, Alert.subject, Alert.type)
        conditions.append(or_(*(c.icontains(filters.q, autoescape=True) for c in columns)))
    return statement.where(*conditions)


def _counts(session: Session, account_id: UUID, filters: ListFilter) -> Mapping[str, int]:
    statement: Any = select(Alert.status, func.count()).where(Alert.status.in_(LIVE))
    statement = _matching(statement, account_id, replace(filters, status=""))
    counts = dict(session.execute(statement.group_by(Alert.status)).all())
    return {status: counts.get(status, 0) for status in LIVE}

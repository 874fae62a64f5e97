"""Accounts as operators see them: how many domains, people, keys and reports each has."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.transactions import transaction
from app.models import Account, ApiKey, DmarcReport, Domain, ReportFile, User
from app.services.accounts import accounts

_COUNTED: dict[str, Any] = {"domains": Domain, "users": User, "api_keys": ApiKey}
_COUNTED_ALONE: dict[str, Any] = {
    **_COUNTED,
    "dmarc_reports": DmarcReport,
    "report_files": ReportFile,
}


@dataclass(frozen=True, slots=True)
class Summary:
    """One account, with numbers of its rows by kind."""

    id: UUID
    name: str
    status: str
    created_at: datetime
    deletion_requested_at: datetime | None
    counts: dict[str, int]


def search() -> Sequence[Summary]:
    """All accounts by name."""
    with transaction(readonly=True) as session:
        numbers = {name: _by_account(session, table) for name, table in _COUNTED.items()}
        rows = session.scalars(select(Account).order_by(Account.name)).all()
    return [
        _summary(row, {name: by_account.get(row.id, 0) for name, by_account in numbers.items()})
        for row in rows
    ]


def show(account: str) -> Summary:
    """One account (by name or id), with its reports counted too.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        row = accounts.named(session, account)
        counts = {}
        for name, table in _COUNTED_ALONE.items():
            row_count = select(func.count()).select_from(table).where(table.account_id == row.id)
            counts[name] = session.scalar(row_count) or 0
    return _summary(row, counts)


def _by_account(session: Session, table: Any) -> dict[UUID, int]:
    rows = session.execute(select(table.account_id, func.count()).group_by(table.account_id))
    return {row[0]: row[1] for row in rows}


def _summary(row: Account, counts: dict[str, int]) -> Summary:
    return Summary(
        id=row.id,
        name=row.name,
        status=row.status,
        created_at=row.created_at,
        deletion_requested_at=row.deletion_requested_at,
        counts=counts,
    )

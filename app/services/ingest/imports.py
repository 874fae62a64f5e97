"""Imports by an operator: what has become of the files that one run stored."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from app.db.transactions import transaction
from app.models import ReportFile
from app.models.reports import RECEIVED

ROUTE = "cli"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The reports in the files of a run by their status; a file has one or more.

    waiting  files that no worker has processed yet
    reasons  numbers of rejected and unattributed reports by reason
    """

    parsed: int = 0
    duplicate: int = 0
    conflict: int = 0
    unattributed: int = 0
    rejected: int = 0
    waiting: int = 0
    reasons: Mapping[str, int] | None = None


def outcomes(account_id: UUID, first: UUID) -> Outcomes:
    """Return the outcomes of the files that an operator imported since the id ``first``."""
    columns = (ReportFile.status, ReportFile.reason)
    with transaction(readonly=True) as session:
        rows = session.execute(
            select(*columns, func.count().label("number"))
            .where(
                ReportFile.account_id == account_id,
                ReportFile.id >= first,
                ReportFile.received_via == ROUTE,
            )
            .group_by(*columns)
        ).all()
    numbers, reasons = Counter[str](), Counter[str]()
    for row in rows:
        numbers[row.status] += row.number
        if row.reason:
            reasons[row.reason] += row.number
    numbers["waiting"] = numbers.pop(RECEIVED, 0)
    return Outcomes(**numbers, reasons=dict(reasons))

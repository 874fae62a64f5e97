"""Fair queues: the order in which the queued rows of all accounts are claimed.

This is start-time fair queueing. A row is assigned a virtual start time when it is queued, and the
rows with the lowest ones are claimed first, so that a claim only reads the first entries of an
index. The rows of one account start at consecutive numbers. The first of them starts at the virtual
time of the queue, which is the start of the row that is claimed next, or after the last row of the
account, whichever is later. So an account that queues thousands of rows does not delay another one,
and an account that queues rows one by one gets no more than its share.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, case, func, literal, select, true
from sqlalchemy.orm import Session

from app.db import bulk
from app.models import QueueAccount


@dataclass(frozen=True, slots=True)
class FairQueue:
    """The queued rows of a table, which has the columns ``account_id`` and ``virtual_start``.

    name        of the queue in ``queue_accounts``
    table       the model
    is_waiting  the condition of queued rows; an index must have them by ``virtual_start``
    is_running  the condition of rows that run now, if accounts with fewer of them come first
    """

    name: str
    table: Any
    is_waiting: ColumnElement[bool]
    is_running: ColumnElement[bool] | None = None

    def reserve(self, session: Session, account_id: UUID, count: int) -> range:
        """Return the virtual start times for rows that are queued in the caller's transaction.

        effects  locks the account's position until the commit. Otherwise concurrent transactions
                 would assign the same times, and the account would get twice its share
        """
        return self._reserve(session, account_id, count, self._virtual_time())

    def reserve_all(self, session: Session, account_ids: Sequence[UUID]) -> Sequence[int]:
        """Return the virtual start times for rows of these accounts, as ``reserve``."""
        at = literal(session.scalars(select(self._virtual_time())).one())
        starts = {
            account_id: iter(self._reserve(session, account_id, count, at))
            for account_id, count in sorted(Counter(account_ids).items())
        }
        return [next(starts[account_id]) for account_id in account_ids]

    def _reserve(
        self, session: Session, account_id: UUID, count: int, at: ColumnElement[int]
    ) -> range:
        row = select(literal(self.name), literal(account_id), at + (count - 1)).where(true())
        insert = bulk.insert(session, QueueAccount).from_select(
            ["queue", "account_id", "last"], row
        )
        start, previous = insert.excluded.last - count, QueueAccount.last
        latest = case((previous > start, previous), else_=start)
        last = session.scalars(
            insert.on_conflict_do_update(
                index_elements=[QueueAccount.queue, QueueAccount.account_id],
                set_={"last": latest + count},
            ).returning(QueueAccount.last)
        ).one()
        return range(last - count + 1, last + 1)

    def _virtual_time(self) -> ColumnElement[int]:
        """The start of the row that is claimed next, or else the time after all rows so far."""
        last = select(func.max(QueueAccount.last)).where(QueueAccount.queue == self.name)
        return func.coalesce(self._first_start(), last.scalar_subquery() + 1, 0)

    def _first_start(self) -> ScalarSelect[int]:
        """The start of the row that is claimed next; NULL if no row waits.

        Running rows of its account count as if they were still to be claimed.
        """
        table = self.table
        first = (
            select(table.account_id, table.virtual_start)
            .where(self.is_waiting)
            .order_by(table.virtual_start)
            .limit(1)
            .subquery()
        )
        start: ColumnElement[int] = first.c.virtual_start
        if self.is_running is not None:
            is_own = (table.account_id == first.c.account_id) & self.is_running
            start = start - select(func.count()).where(is_own).scalar_subquery()
        return select(start).scalar_subquery()

"""Daily budgets (UTC) of CPU time for parsing an account's files, measured by the worker.

A sender of files that are expensive to parse uses up the budget of one account, and does not delay
other accounts. Files above the budget are rejected as ``cpu_budget`` and parsed the next day.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from datetime import time as clock_time
from uuid import UUID

from sqlalchemy import select

from app import settings
from app.db import bulk, transactions
from app.db.transactions import transaction
from app.models import DailyIngestUsage, ReportFile
from app.services.ingest import budgets, files
from app.services.ingest.budgets import SourceClass

BATCH_SIZE = 1_000
REASON = "cpu_budget"
DETAIL = "The CPU time for parsing this account's files is used up; it is parsed tomorrow"


def retry_deferred() -> int:
    """Queue the files that exceeded the CPU budget of an earlier day, and return how many."""
    with transaction() as session:
        now = transactions.now(session)
        midnight = datetime.combine(now.date(), clock_time(), UTC)
        deferred = session.scalars(
            select(ReportFile.id)
            .where(
                ReportFile.status == "rejected",
                ReportFile.reason == REASON,
                ReportFile.finished_at < midnight,
            )
            .order_by(ReportFile.id)
            .limit(BATCH_SIZE)
            .with_for_update(skip_locked=True)
        ).all()
        if deferred:
            files.parse_again(session, ReportFile.id.in_(deferred), now)
    return len(deferred)


class CpuMeter:
    """The CPU time of the accounts in one batch of files, today."""

    def __init__(self, account_ids: Collection[UUID]) -> None:
        with transaction(readonly=True) as session:
            rows = session.execute(
                select(DailyIngestUsage.account_id, DailyIngestUsage.cpu_ms).where(
                    DailyIngestUsage.account_id.in_(account_ids),
                    DailyIngestUsage.day == transactions.now(session).date(),
                )
            )
            self._before = {row.account_id: row.cpu_ms / 1000 for row in rows}
        self._used: dict[UUID, float] = defaultdict(float)

    def has_budget(self, account_id: UUID, sender: SourceClass) -> bool:
        """Return whether another file from a sender of this class may be parsed today."""
        quota = settings.current().ingest_cpu_seconds_per_day
        return self.used(account_id) < budgets.share(sender, quota)

    def used(self, account_id: UUID) -> float:
        """Return the CPU seconds that the account's files used today."""
        return float(self._before.get(account_id, 0.0)) + self._used[account_id]

    @contextmanager
    def measured(self, account_id: UUID) -> Iterator[None]:
        """Charge the CPU time of the block to the account."""
        started = time.process_time()
        try:
            yield
        finally:
            self._used[account_id] += time.process_time() - started

    def store(self) -> None:
        """Add the CPU time to the accounts' usage of the day."""
        used = {account_id: int(seconds * 1000) for account_id, seconds in self._used.items()}
        with transaction() as session:
            day = transactions.now(session).date()
            for account_id, cpu_ms in sorted(used.items()):
                insert = bulk.insert(session, DailyIngestUsage).values(
                    account_id=account_id, day=day, files=0, bytes=0, cpu_ms=cpu_ms
                )
                session.execute(
                    insert.on_conflict_do_update(
                        index_elements=["account_id", "day"],
                        set_={"cpu_ms": DailyIngestUsage.cpu_ms + cpu_ms},
                    )
                )
        self._used.clear()

"""The scan worker: claims scans, runs their checks and stores the results; and scheduled tasks.

The network is used between two transactions, never within one. A result is stored only if it
belongs to the last attempt: a worker that lost its lease stores nothing.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from app import settings
from app.checks.engine.runner import ScanResult, run_checks
from app.checks.engine.types import Subject
from app.db import transactions
from app.db.transactions import after_commit, transaction
from app.jobs import queue
from app.models import Domain, Scan
from app.models.domains import PERIODS
from app.models.scans import MAX_ATTEMPTS
from app.ports.network import Network, SessionFactory
from app.services.core.leases import Lease, Requeue
from app.services.core.lifecycle_log import Lifecycle
from app.services.scans import claims as scans_claims
from app.services.scans import failures, scans
from app.services.scans import results as scans_results

logger = logging.getLogger(__name__)

STORE_BATCH_SIZE = 50  # scans per transaction: few enough to be quick, enough to share its cost
STORE_SECONDS = 0.5  # how long a result waits for others to share a transaction
MAX_RUN_SECONDS = 30.0  # how long a chunk job claims further scans
DUE_BATCH_SIZE = 1_000


def run(
    scan_ids: Sequence[UUID], door: Network, *, is_stopping: Callable[[], bool] = lambda: False
) -> int:
    """Claim queued scans, run their checks concurrently, and store each result with its alerts.

    is_stopping  called a few times a second; once true, unfinished scans are released
    returns      how many scans were claimed
    effects      one transaction per claim and one per group of results, the network in between.
                 With several ids the run continues with other queued scans, so that domains whose
                 servers do not answer never block the others
    """
    claims = scans_claims.claim(scan_ids)
    if not claims:
        return 0
    run = _Run(claims, len(scan_ids), is_stopping)
    with scans_claims.LEASES.renewing(run.leases):
        door.run(run.work)
    return run.count


def requeue_stale() -> int:
    """Enqueue scans again that were queued long ago, and requeue scans whose lease expired.

    returns  how many scans were enqueued
    effects  after MAX_ATTEMPTS a scan fails, with the reason
    """
    is_idle = queue.is_idle(queue.SCANS)
    with transaction() as session:
        rule = _requeue_rule(transactions.now(session))
        requeued = scans_claims.LEASES.requeue_stale(session, rule, is_idle=is_idle)
        scan_ids = sorted([*requeued.tried, *requeued.fresh])
        scans.log_all(session, Lifecycle.SCAN_FAILED, requeued.failed)
        scans.log_all(session, Lifecycle.SCAN_REQUEUED, requeued.tried)
        after_commit(session, lambda: scans.enqueue(scan_ids))
    if requeued.failed:
        failures.record(requeued.failed)  # afterwards, as domains are locked before scans
    return len(scan_ids)


def _requeue_rule(now: datetime) -> Requeue:
    is_late = Scan.enqueued_at < now - settings.current().scan_requeue_seconds
    return Requeue(
        is_waiting=(Scan.status == "queued") & is_late,
        max_attempts=MAX_ATTEMPTS,
        queued={"status": "queued", "enqueued_at": now},
        failed={
            "status": "failed",
            "finished_at": now,
            "error": f"failed after {MAX_ATTEMPTS} attempts: the worker stopped in each of them",
        },
    )


def start_due() -> int:
    """Queue the scans that are due by their schedules, and set the next time of each domain.

    returns  how many domains were due
    """
    with transaction() as session:
        now = transactions.now(session)
        due = session.scalars(
            select(Domain)
            .where(Domain.next_scan_at <= now)
            .order_by(Domain.next_scan_at)
            .limit(DUE_BATCH_SIZE)
            .with_for_update(skip_locked=True)
        ).all()
        by_account: dict[UUID, dict[UUID, str]] = {}
        for domain in due:
            by_account.setdefault(domain.account_id, {})[domain.id] = domain.name
            domain.next_scan_at = _next(domain, now)
        for account_id, names in by_account.items():
            scans.request_many(session, account_id, names, actor="system", trigger="schedule")
    return len(due)


def _next(domain: Domain, now: datetime) -> datetime | None:
    """The first scheduled time of the domain after ``now``."""
    period = PERIODS.get(domain.schedule)
    if period is None or domain.next_scan_at is None:
        return None
    return domain.next_scan_at + period * ((now - domain.next_scan_at) // period + 1)


class _Run:
    """One run of claimed scans: stores results as they come, and renews the leases meanwhile."""

    def __init__(
        self, claims: Sequence[scans_claims.Claim], at_once: int, is_stopping: Callable[[], bool]
    ) -> None:
        self._open = {claim.scan_id: claim for claim in claims}
        self._subjects = {claim.scan_id: claim.subject for claim in claims}
        self.count = len(claims)
        self._at_once, self._is_stopping = at_once, is_stopping
        self._goes_on_until = time.monotonic() + (MAX_RUN_SECONDS if at_once > 1 else 0)
        self._claiming: asyncio.Task[Mapping[UUID, Subject]] | None = None
        self._done: asyncio.Queue[tuple[UUID, ScanResult] | None] = asyncio.Queue()

    def leases(self) -> list[Lease[UUID]]:
        """The leases of the scans that are not stored yet."""
        return [claim.lease for claim in list(self._open.values())]

    async def work(self, open_answers: SessionFactory) -> None:
        current = settings.current()
        settler = asyncio.create_task(self._settle_all())
        examiner = asyncio.create_task(
            run_checks(
                self._subjects,
                open_answers,
                concurrency=current.scan_concurrency,
                seconds=current.scan_seconds,
                on_done=self._note,
                more=self._more,
            )
        )
        watcher = asyncio.create_task(self._watch(examiner))
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await examiner
        finally:
            watcher.cancel()
            await self._done.put(None)
            await settler
        if self._claiming:
            await self._claiming  # a claim may have been running when the run was stopped
        if self._open:
            await asyncio.to_thread(scans_claims.release, list(self._open.values()))

    async def _more(self) -> Mapping[UUID, Subject]:
        if time.monotonic() >= self._goes_on_until:
            return {}
        self._claiming = asyncio.create_task(self._claim_more())
        return await asyncio.shield(self._claiming)

    async def _claim_more(self) -> Mapping[UUID, Subject]:
        claims = await asyncio.to_thread(scans_claims.claim_next, self._at_once)
        if len(claims) < self._at_once:
            self._goes_on_until = 0.0  # scans that are queued from now on have their own job
        self._open |= {claim.scan_id: claim for claim in claims}
        self.count += len(claims)
        return {claim.scan_id: claim.subject for claim in claims}

    async def _note(self, scan_id: UUID, examination: ScanResult) -> None:
        await self._done.put((scan_id, examination))

    async def _settle_all(self) -> None:
        is_finished = False
        while not is_finished:
            group = await self._next_group()
            is_finished = group[-1] is None
            results = [(self._open.pop(result[0]), result[1]) for result in group if result]
            if results:
                await asyncio.to_thread(scans_results.store, results)

    async def _next_group(self) -> list[tuple[UUID, ScanResult] | None]:
        """The next results for one transaction: a full group, or fewer after a short wait.

        The last element is None once there are no more results.
        """
        group = [await self._done.get()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STORE_SECONDS):
                while len(group) < STORE_BATCH_SIZE and group[-1] is not None:
                    group.append(await self._done.get())
        return group

    async def _watch(self, examiner: asyncio.Task[object]) -> None:
        while not self._is_stopping():
            await asyncio.sleep(0.2)
        examiner.cancel()

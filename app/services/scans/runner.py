"""The scan worker: claims scans, runs their checks and stores the results; and scheduled tasks.

The network is used between two transactions, never within one. A result is stored only if it
belongs to the last attempt: a worker that lost its lease stores nothing.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select

from app import settings
from app.checks.engine.runner import ScanResult, Stream, stream_checks
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
from app.services.scans.claims import Claim

logger = logging.getLogger(__name__)

STORE_BATCH_SIZE = 50  # scans per transaction: few enough to be quick, enough to share its cost
STORE_SECONDS = 0.5  # how long a result waits for others to share a transaction
STOP_POLL_SECONDS = 0.2  # between two calls of ``is_stopping``
MAX_RUN_SECONDS = 30.0  # how long a chunk job claims further scans
DUE_BATCH_SIZE = 1_000  # domains in one transaction
DUE_SECONDS = 10.0  # after which other tasks of the clock have their turn


def run(
    scan_ids: Sequence[UUID], network: Network, *, is_stopping: Callable[[], bool] = lambda: False
) -> int:
    """Claim queued scans, run their checks concurrently, and store each result with its alerts.

    is_stopping  called a few times a second; once true, unfinished scans are released
    returns      how many scans were claimed
    effects      two transactions per claim and one per group of results, the network in between.
                 With several ids the run continues with other queued scans, so that domains whose
                 servers do not answer never block the others
    """
    claims = scans_claims.claim(scan_ids)
    if not claims:
        return 0
    run = _Run(claims, len(scan_ids), is_stopping)
    with scans_claims.LEASES.renewing(run.leases):
        network.run(run.work)
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
            "error": f"failed after {MAX_ATTEMPTS} attempts: "
            + func.coalesce(Scan.error, "the worker stopped in each of them"),
        },
    )


def start_due() -> int:
    """Queue the scans that are due by their schedules, and set the next time of each domain.

    returns  how many domains were due
    effects  one transaction for each DUE_BATCH_SIZE domains, until none is due or DUE_SECONDS have
             passed; the longest due come first
    """
    until, count = time.monotonic() + DUE_SECONDS, 0
    while started := _start_some():
        count += started
        if started < DUE_BATCH_SIZE or time.monotonic() >= until:
            break
    return count


def _start_some() -> int:
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
    return following(domain.next_scan_at, period, now)


def following(due_at: datetime, period: timedelta, now: datetime) -> datetime:
    """Return the first time after ``now`` of a schedule with this period and a time ``due_at``."""
    return due_at + period * ((now - due_at) // period + 1)


class _Run:
    """One run of claimed scans, which stores results as they arrive and claims further scans."""

    def __init__(
        self, claims: Sequence[Claim], batch_size: int, is_stopping: Callable[[], bool]
    ) -> None:
        self._claims = {claim.scan_id: claim for claim in claims}  # without a stored result
        self._subjects = {claim.scan_id: claim.subject for claim in claims}
        self.count = len(claims)
        self._batch_size, self._is_stopping = batch_size, is_stopping
        self._claims_until = time.monotonic() + (MAX_RUN_SECONDS if batch_size > 1 else 0)
        self._claiming: asyncio.Task[Mapping[UUID, Subject]] | None = None
        self._results: asyncio.Queue[tuple[UUID, ScanResult] | None] = asyncio.Queue()

    def leases(self) -> list[Lease[UUID]]:
        """Return the leases of the scans that are not stored yet."""
        return [claim.lease for claim in list(self._claims.values())]

    async def work(self, new_session: SessionFactory) -> None:
        """Run the checks of all scans, and release unfinished scans when the run is stopped."""
        current = settings.current()
        storing = asyncio.create_task(self._store_all())
        checking = asyncio.create_task(
            stream_checks(
                Stream(self._subjects, self._on_done, self._more),
                new_session,
                concurrency=current.scan_concurrency,
                seconds=current.scan_seconds,
            )
        )
        watching = asyncio.create_task(self._cancel_when_stopping(checking))
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await checking
        finally:
            watching.cancel()
            await self._results.put(None)
            await storing
        if self._claiming:
            await self._claiming  # it may have been running when the run was stopped
        if self._claims:
            await asyncio.to_thread(scans_claims.release, list(self._claims.values()))

    async def _more(self) -> Mapping[UUID, Subject]:
        if time.monotonic() >= self._claims_until:
            return {}
        self._claiming = asyncio.create_task(self._claim_more())
        return await asyncio.shield(self._claiming)

    async def _claim_more(self) -> Mapping[UUID, Subject]:
        claims = await asyncio.to_thread(scans_claims.claim_next, self._batch_size)
        if len(claims) < self._batch_size:
            self._claims_until = 0.0  # scans that are queued later have separate jobs
        self._claims |= {claim.scan_id: claim for claim in claims}
        self.count += len(claims)
        return {claim.scan_id: claim.subject for claim in claims}

    async def _on_done(self, scan_id: UUID, result: ScanResult) -> None:
        await self._results.put((scan_id, result))

    async def _store_all(self) -> None:
        is_finished = False
        while not is_finished:
            group = await self._next_group()
            is_finished = group[-1] is None
            results = [(self._claims.pop(item[0]), item[1]) for item in group if item]
            if results:
                await asyncio.to_thread(scans_results.store, results)

    async def _next_group(self) -> list[tuple[UUID, ScanResult] | None]:
        """The next results for one transaction: a full group, or fewer after a short wait.

        The last element is None once there are no more results.
        """
        group = [await self._results.get()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STORE_SECONDS):
                while len(group) < STORE_BATCH_SIZE and group[-1] is not None:
                    group.append(await self._results.get())
        return group

    async def _cancel_when_stopping(self, checking: asyncio.Task[object]) -> None:
        while not self._is_stopping():
            await asyncio.sleep(STOP_POLL_SECONDS)
        checking.cancel()

"""Scans as a worker sees them: claimed, examined, settled; and what the clock does about them.

The network is asked between two transactions, never within one. A result counts only if it is of
the last attempt: whoever lost the lease meanwhile writes nothing.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Update, func, or_, select, update
from sqlalchemy.orm import Session

from app import queue, settings
from app.checks.answers import Door, OpenAnswers
from app.checks.contract import Subject, Usage
from app.checks.examine import Examination, examine
from app.db import after_commit, now, transaction
from app.models import Domain, DomainState, Scan
from app.models.domains import PERIODS
from app.models.scans import MAX_ATTEMPTS
from app.services import dkim_keys, failing, probing, scans, selectors, settling

logger = logging.getLogger(__name__)

SETTLE_AT_ONCE = 25  # scans a transaction: few enough to be quick, enough to share its cost
SWEEP_AT_ONCE = 5_000
DUE_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Claim:
    """A scan that this process has until its lease ends."""

    scan_id: UUID
    domain_id: UUID
    attempt: int
    subject: Subject


def run(
    scan_ids: Sequence[UUID], door: Door, *, is_stopping: Callable[[], bool] = lambda: False
) -> int:
    """Claim what is still queued, examine it all at once, and settle each scan with its alerts.

    is_stopping  asked a few times a second; once true what is unfinished is given back
    returns      how many scans were claimed
    effects      a transaction for the claim, one for each few results; the network in between
    """
    claims = claim(scan_ids)
    if claims:
        door.run(lambda open_answers: _Run(claims, is_stopping).work(open_answers))
    return len(claims)


def claim(scan_ids: Sequence[UUID]) -> list[Claim]:
    """Take as many queued scans as there are ids; what others have taken or ended is left.

    scan_ids  one that is asked for by itself is taken before all others. Those of a chunk only say
              how many: which ones is decided by turns of the accounts, so that nobody waits for
              the thousands that somebody else has queued
    """
    claims = _claim(scan_ids) if len(scan_ids) == 1 else []
    while len(claims) < len(scan_ids) and (found := _in_turn(len(scan_ids) - len(claims))):
        claims += _claim(found)
    return claims


def _in_turn(count: int) -> Sequence[UUID]:
    """The queued scans to take next: the account with the fewest under way has the next turn."""
    running = (
        select(Scan.account_id, func.count().label("count"))
        .where(Scan.status == "running")
        .group_by(Scan.account_id)
        .subquery()
    )
    place = func.row_number().over(partition_by=Scan.account_id, order_by=Scan.id)
    queued = (
        select(Scan.id, Scan.account_id, place.label("place"))
        .where(Scan.status == "queued")
        .subquery()
    )
    turn = queued.c.place + func.coalesce(running.c.count, 0)
    with transaction(readonly=True) as session:
        return session.scalars(
            select(queued.c.id)
            .outerjoin(running, running.c.account_id == queued.c.account_id)
            .order_by(turn, queued.c.id)
            .limit(count)
        ).all()


def _claim(scan_ids: Sequence[UUID]) -> list[Claim]:
    with transaction() as session:
        moment = now(session)
        free = session.scalars(
            select(Scan.id)
            .where(Scan.id.in_(scan_ids), Scan.status == "queued")
            .order_by(Scan.id)
            .with_for_update()
        ).all()
        taken = session.execute(
            update(Scan)
            .where(Scan.id.in_(free), Scan.status == "queued")
            .values(
                status="running",
                attempt=Scan.attempt + 1,
                started_at=moment,
                lease_until=moment + settings.current().scan_lease,
            )
            .returning(Scan.id, Scan.domain_id, Scan.attempt)
        ).all()
        subjects = _subjects(session, [row.domain_id for row in taken], moment)
    return [Claim(row.id, row.domain_id, row.attempt, subjects[row.domain_id]) for row in taken]


def _subjects(
    session: Session, domain_ids: Sequence[UUID], moment: datetime
) -> Mapping[UUID, Subject]:
    """What is examined, and all that its checks are told beforehand."""
    rows = session.execute(
        select(Domain.id, Domain.name, Domain.usage, Domain.dkim_selectors, DomainState.known)
        .outerjoin(DomainState, DomainState.domain_id == Domain.id)
        .where(Domain.id.in_(domain_ids))
    ).all()
    known = {
        row.id: {check: found["facts"] for check, found in (row.known or {}).items()}
        for row in rows
    }
    hosts = [host for facts in known.values() for host in facts.get("mx", {}).get("hosts", ())]
    handshakes = probing.seen(session, hosts)
    selected = selectors.seen(session, [row.id for row in rows])
    shared = dkim_keys.shared(session, [row.id for row in rows])
    return {
        row.id: Subject(
            domain=row.name,
            usage=Usage(row.usage),
            dkim_selectors=tuple(row.dkim_selectors),
            seen_selectors=selected.get(row.id, ()),
            known=known[row.id],
            shared_keys=shared.get(row.id, {}),
            handshakes=handshakes,
            now=moment,
        )
        for row in rows
    }


def requeue_stale() -> int:
    """Ring again for what was queued long ago, and give what lost its lease to another attempt.

    returns  how many scans were rung for
    effects  after MAX_ATTEMPTS a scan fails, with the reason
    """
    current = settings.current()
    is_idle = queue.is_idle(queue.SCANS)
    with transaction() as session:
        moment = now(session)
        lost = (Scan.status == "running") & (Scan.lease_until < moment)
        failed = session.scalars(
            update(Scan)
            .where(lost, Scan.attempt >= MAX_ATTEMPTS)
            .values(
                status="failed",
                finished_at=moment,
                error=f"given up after {MAX_ATTEMPTS} attempts: the worker ended in each of them",
            )
            .returning(Scan.domain_id)
        ).all()
        waiting = (Scan.status == "queued") & (Scan.rung_at < moment - current.scan_requeue)
        # While other scans wait in the queue, a bell that was rung may just not have been heard.
        wanted = or_(lost, waiting) if is_idle else lost
        stale = session.scalars(
            select(Scan.id)
            .where(wanted)
            .order_by(Scan.id)
            .limit(SWEEP_AT_ONCE)
            .with_for_update(skip_locked=True)
        ).all()
        session.execute(
            update(Scan)
            .where(Scan.id.in_(stale))
            .values(status="queued", lease_until=None, rung_at=moment)
        )
        after_commit(session, lambda: scans.ring(stale))
    if failed:
        failing.note(failed)  # by itself: domains are locked before scans, everywhere
    return len(stale)


def start_due() -> int:
    """Ask for the scans that are due by their schedules, and set the next time of each.

    returns  how many domains were due
    """
    with transaction() as session:
        moment = now(session)
        due = session.scalars(
            select(Domain)
            .where(Domain.next_scan_at <= moment)
            .order_by(Domain.next_scan_at)
            .limit(DUE_AT_ONCE)
            .with_for_update(skip_locked=True)
        ).all()
        by_account: dict[UUID, dict[UUID, str]] = {}
        for domain in due:
            by_account.setdefault(domain.account_id, {})[domain.id] = domain.name
            domain.next_scan_at = _next(domain, moment)
        for account_id, chosen in by_account.items():
            scans.request_many(session, account_id, chosen, actor="system", trigger="schedule")
    return len(due)


def _next(domain: Domain, moment: datetime) -> datetime | None:
    """The first time behind ``moment`` in the domain's own rhythm."""
    period = PERIODS.get(domain.schedule)
    if period is None or domain.next_scan_at is None:
        return None
    return domain.next_scan_at + period * ((moment - domain.next_scan_at) // period + 1)


class _Run:
    """One run of claimed scans: results are settled as they come, leases are kept up meanwhile."""

    def __init__(self, claims: Sequence[Claim], is_stopping: Callable[[], bool]) -> None:
        self._open = {claim.scan_id: claim for claim in claims}
        self._is_stopping = is_stopping
        self._done: asyncio.Queue[tuple[UUID, Examination] | None] = asyncio.Queue()

    async def work(self, open_answers: OpenAnswers) -> None:
        current = settings.current()
        subjects = {scan_id: claim.subject for scan_id, claim in self._open.items()}
        settler = asyncio.create_task(self._settle_all())
        keeper = asyncio.create_task(self._keep_leases())
        examiner = asyncio.create_task(
            examine(
                subjects,
                open_answers,
                concurrency=current.scan_concurrency,
                seconds=current.scan_seconds,
                on_done=self._note,
            )
        )
        watcher = asyncio.create_task(self._watch(examiner))
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await examiner
        finally:
            keeper.cancel()
            watcher.cancel()
            await self._done.put(None)
            await settler
        if self._open:
            await asyncio.to_thread(_give_back, list(self._open.values()))

    async def _note(self, scan_id: UUID, examination: Examination) -> None:
        await self._done.put((scan_id, examination))

    async def _settle_all(self) -> None:
        while (first := await self._done.get()) is not None:
            group = [first]
            while len(group) < SETTLE_AT_ONCE and not self._done.empty():
                if (more := self._done.get_nowait()) is None:
                    self._done.put_nowait(None)
                    break
                group.append(more)
            results = [(self._open.pop(scan_id), found) for scan_id, found in group]
            await asyncio.to_thread(settling.settle, results)

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(settings.current().scan_lease.total_seconds() / 3)
            await asyncio.to_thread(_renew, list(self._open.values()))

    async def _watch(self, examiner: asyncio.Task[object]) -> None:
        while not self._is_stopping():
            await asyncio.sleep(0.2)
        examiner.cancel()


def _renew(claims: Sequence[Claim]) -> None:
    with transaction() as session:
        until = now(session) + settings.current().scan_lease
        for claimed in claims:
            session.execute(_mine(claimed).values(lease_until=until))


def _give_back(claims: Sequence[Claim]) -> None:
    """Let others have them at once; an attempt that was not finished does not count."""
    with transaction() as session:
        moment = now(session)
        for claimed in claims:
            session.execute(
                _mine(claimed).values(
                    status="queued",
                    attempt=Scan.attempt - 1,
                    lease_until=None,
                    started_at=None,
                    rung_at=moment,
                )
            )
        after_commit(session, lambda: scans.ring([claimed.scan_id for claimed in claims]))


def _mine(claimed: Claim) -> Update:
    return update(Scan).where(
        Scan.id == claimed.scan_id, Scan.attempt == claimed.attempt, Scan.status == "running"
    )

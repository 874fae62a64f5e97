"""Deliveries as a worker sees them: channels claimed, what is due sent, what came of it written.

A channel is one worker's until its lease ends, and has one try under way at most; the network is
asked between two transactions. A try whose end is not written (the worker was killed) is made
again, with the same id: receivers see an event at least once.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select, update

from app import ids, queue, settings
from app.channels.contract import Outcome
from app.checks.answers import Door, OpenAnswers
from app.db import after_commit, now, transaction
from app.errors import InvalidRequest
from app.models import Delivery, Event
from app.services import attempts, audit, channels, feed, sending
from app.services.attempts import Claim, Parcel

CHANNELS_AT_ONCE = 50
POLL_SECONDS = 0.25  # while tries are under way: those of other channels are not to wait for them
ROUND_SECONDS = 600.0  # a job ends after that, with what is under way; far below its time-out
GRACE_SECONDS = 1.0  # that tries under way have then
TURN_SECONDS = 30.0  # a channel gives way to others after that
KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Entry:
    """One delivery, and the event that it was of."""

    delivery: Delivery
    event_id: UUID
    type: str


def run(door: Door, *, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Send what is due to every channel, each at its own pace; how many tries were made.

    is_stopping  once true no further try is begun
    effects      what is still due at the end is rung for
    """
    feed.spread_all()
    if not attempts.is_due():
        return 0
    made = door.run(lambda open_answers: _Round(open_answers, is_stopping).work())
    ring_if_due()
    return made


def ring_if_due() -> bool:
    """Have a worker come if anything is due."""
    feed.spread_all()
    return attempts.is_due() and queue.enqueue_delivery()


def log(account_id: UUID, ref: str, *, limit: int = 50) -> Sequence[Entry]:
    """The channel's last deliveries, newest first.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        channel = channels.owned(session, account_id, ref)
        rows = session.execute(
            select(Delivery, Event.id, Event.type)
            .join(Event, Event.number == Delivery.event_number)
            .where(Delivery.channel_id == channel.id)
            .order_by(Delivery.event_number.desc())
            .limit(limit)
        )
        return [Entry(*row) for row in rows]


def replay(account_id: UUID, ref: str, *, actor: str) -> int:
    """Send again what was given up in the last KEPT, as if it were new; how many.

    raises  NotFound; InvalidRequest if the channel is disabled
    """
    with transaction() as session:
        channel = channels.owned(session, account_id, ref)
        if channel.disabled_at is not None:
            message = "it is disabled; enable it first"
            raise InvalidRequest([{"field": "channel", "code": "invalid", "message": message}])
        again = session.execute(
            update(Delivery)
            .where(Delivery.channel_id == channel.id, Delivery.status == "dead")
            .values(status="pending", attempts=0, next_at=now(session), finished_at=None)
        )
        count = int(again.rowcount)  # type: ignore[attr-defined]  # an UPDATE has it
        target = ids.public("chan", channel.id)
        audit.record(
            session, account_id, actor=actor, action="channel.replayed", target=target, count=count
        )
        after_commit(session, queue.enqueue_delivery)
        return count


def purge() -> int:
    """Forget deliveries that ended KEPT ago; how many."""
    with transaction() as session:
        gone = session.execute(delete(Delivery).where(Delivery.finished_at < now(session) - KEPT))
        return int(gone.rowcount)  # type: ignore[attr-defined]  # a DELETE has it


class _Round:
    """One run over all channels: each has a task of its own, so that none waits for another."""

    def __init__(self, open_answers: OpenAnswers, is_stopping: Callable[[], bool]) -> None:
        self._open_answers, self._is_stopping = open_answers, is_stopping
        self._until = time.monotonic() + ROUND_SECONDS
        self._turns: dict[asyncio.Task[int], Claim] = {}
        self._made = 0
        self._threads = ThreadPoolExecutor(CHANNELS_AT_ONCE, "sending")

    async def work(self) -> int:
        keeper = asyncio.create_task(self._keep_leases())
        try:
            while await self._take():
                await asyncio.wait(
                    self._turns, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                for turn in [turn for turn in self._turns if turn.done()]:
                    del self._turns[turn]
                    self._made += turn.result()
            await self._end()
        finally:
            keeper.cancel()
            self._threads.shutdown(wait=False, cancel_futures=True)
        return self._made

    async def _take(self) -> bool:
        """Take up channels that have something due; whether anything is under way."""
        if self._is_stopping() or time.monotonic() > self._until:
            return False
        await asyncio.to_thread(feed.spread_all)
        room = CHANNELS_AT_ONCE - len(self._turns)
        for claim in await asyncio.to_thread(attempts.claim_due, room):
            self._turns[asyncio.create_task(self._turn(claim))] = claim
        return bool(self._turns)

    async def _end(self) -> None:
        """Let tries end that are under way; give back what takes too long, to be tried again."""
        if not self._turns:
            return
        seconds = settings.current().delivery_seconds if self._is_stopping() else GRACE_SECONDS
        self._until = 0  # no turn goes on to another try
        _, late = await asyncio.wait(self._turns, timeout=seconds)
        for turn in late:
            turn.cancel()
            await self._advance(self._turns[turn], None, None, take=False)

    async def _turn(self, claim: Claim) -> int:
        """Send what is due to one channel; how many tries that took."""
        until = time.monotonic() + TURN_SECONDS
        made, parcel = 0, await self._advance(claim, None, None, take=True)
        while parcel is not None:
            outcome = await sending.send(parcel, self._open_answers, self._threads)
            made += 1
            take = time.monotonic() < min(until, self._until) and not self._is_stopping()
            parcel = await self._advance(claim, parcel, outcome, take=take)
        return made

    async def _advance(
        self, claim: Claim, done: Parcel | None, outcome: Outcome | None, *, take: bool
    ) -> Parcel | None:
        return await asyncio.to_thread(attempts.advance, claim, done, outcome, take=take)

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(settings.current().delivery_lease.total_seconds() / 3)
            await asyncio.to_thread(attempts.renew, list(self._turns.values()))

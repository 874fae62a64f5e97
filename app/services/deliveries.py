"""Deliveries as a worker sees them: channels claimed, what is due sent, what came of it written.

A channel is one worker's until its lease ends, and has one try under way at most; the network is
asked between two transactions. A try whose end is not written (the worker was killed) is made
again, with the same id: receivers see an event at least once.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import delete

from app import queue, settings
from app.channels.contract import Outcome
from app.checks.answers import Door, OpenAnswers
from app.db import now, transaction
from app.models import Delivery
from app.services import attempts, feed, sending
from app.services.attempts import Claim, Parcel

CHANNELS_AT_ONCE = 50
POLL_SECONDS = 0.25  # while tries are under way: those of other channels are not to wait for them
TAKE_SECONDS = 60.0  # a job takes up no channel after that
TURN_SECONDS = 30.0  # a channel gives way to others after that
KEPT = timedelta(days=30)


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


def purge() -> int:
    """Forget deliveries that ended KEPT ago; how many."""
    with transaction() as session:
        gone = session.execute(delete(Delivery).where(Delivery.finished_at < now(session) - KEPT))
        return int(gone.rowcount)  # type: ignore[attr-defined]  # a DELETE has it


class _Round:
    """One run over all channels: each has a task of its own, so that none waits for another."""

    def __init__(self, open_answers: OpenAnswers, is_stopping: Callable[[], bool]) -> None:
        self._open_answers, self._is_stopping = open_answers, is_stopping
        self._until = time.monotonic() + TAKE_SECONDS
        self._turns: dict[asyncio.Task[int], Claim] = {}
        self._made = 0
        self._threads = ThreadPoolExecutor(CHANNELS_AT_ONCE, "sending")

    async def work(self) -> int:
        keeper = asyncio.create_task(self._keep_leases())
        try:
            while await self._take() or self._turns:
                await asyncio.wait(
                    self._turns, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                for turn in [turn for turn in self._turns if turn.done()]:
                    del self._turns[turn]
                    self._made += turn.result()
        finally:
            keeper.cancel()
            self._threads.shutdown(wait=False, cancel_futures=True)
        return self._made

    async def _take(self) -> bool:
        if self._is_over():
            return False
        await asyncio.to_thread(feed.spread_all)
        room = CHANNELS_AT_ONCE - len(self._turns)
        for claim in await asyncio.to_thread(attempts.claim_due, room):
            self._turns[asyncio.create_task(self._turn(claim))] = claim
        return bool(self._turns)

    async def _turn(self, claim: Claim) -> int:
        """Send what is due to one channel; how many tries that took."""
        until = time.monotonic() + TURN_SECONDS
        made, parcel = 0, await self._advance(claim, None, None, take=True)
        while parcel is not None:
            outcome = await sending.send(parcel, self._open_answers, self._threads)
            made += 1
            take = time.monotonic() < until and not self._is_stopping()
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

    def _is_over(self) -> bool:
        return self._is_stopping() or time.monotonic() > self._until

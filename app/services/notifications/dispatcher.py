"""The delivery worker: claims channels, sends what is due and stores the outcomes.

One worker holds a channel until its lease expires, and runs one attempt at a time. The network is
used between two transactions. An attempt whose outcome was not stored, because the worker was
killed, is made again with the same id, so receivers get an event at least once.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app import ids, settings
from app.channels.types import Transport
from app.db.transactions import after_commit, now, transaction
from app.errors import InvalidRequest
from app.jobs import queue
from app.models import Channel, Delivery, Event
from app.ports.network import Network, SessionFactory
from app.services.audit import audit_log
from app.services.core.leases import Lease
from app.services.notifications import channels, delivery_queue, feed, senders
from app.services.notifications.delivery_queue import Claim, DeliveryBatch, Done

MAX_CHANNELS = 100
MAX_FAILING_CHANNELS = 50  # of these, channels whose last attempt failed
POLL_SECONDS = 0.25  # how often the queue is checked while attempts run
ROUND_SECONDS = 600.0  # a job stops taking work after that; far below its timeout
GRACE_SECONDS = 1.0  # for running attempts at the end of a job
CHANNEL_SECONDS = 30.0  # after that a channel yields to others
BATCH_SECONDS = 1.0  # outcomes of that time are stored together


@dataclass(frozen=True, slots=True)
class Entry:
    """One delivery with its event."""

    delivery: Delivery
    event_id: UUID
    type: str


def run(
    network: Network, *, is_stopping: Callable[[], bool] = lambda: False, idle_grace: float = 0.0
) -> int:
    """Send what is due to every channel, each at its own pace, and return the number of attempts.

    is_stopping  once true, no further attempt starts
    idle_grace       seconds to wait for new work after the last attempt
    effects      enqueues a job for what is still due at the end
    """
    feed.distribute_all()
    if not delivery_queue.is_due():
        return 0
    made = network.run(lambda new_session: _Round(new_session, is_stopping, idle_grace).work())
    enqueue_if_due()
    return made


def enqueue_if_due() -> bool:
    """Enqueue a delivery job if anything is due, and return whether one was enqueued."""
    feed.distribute_all()
    return delivery_queue.is_due() and queue.enqueue_delivery()


def log(account_id: UUID, ref: str, *, limit: int = 50) -> Sequence[Entry]:
    """Return the last deliveries of the channel, newest first.

    raises  NotFound
    """
    with transaction(readonly=True, snapshot=True) as session:
        return read_log(session, channels.owned(session, account_id, ref), limit)


def read_log(session: Session, channel: Channel, limit: int) -> Sequence[Entry]:
    """As ``log``, in the caller's transaction."""
    rows = session.execute(
        select(Delivery, Event.id, Event.type)
        .join(Event, Event.number == Delivery.event_number)
        .where(Delivery.channel_id == channel.id)
        .order_by(Delivery.event_number.desc())
        .limit(limit)
    )
    return [Entry(*row) for row in rows]


def replay(account_id: UUID, ref: str, *, actor: str) -> int:
    """Queue the channel's failed deliveries again, and return how many.

    raises  NotFound; InvalidRequest if the channel is disabled
    """
    with transaction() as session:
        channel = channels.owned(session, account_id, ref, lock=True)
        if channel.disabled_at is not None:
            message = "The channel is disabled; enable it first"
            raise InvalidRequest.field("channel", message)
        updated = session.execute(
            update(Delivery)
            .where(Delivery.channel_id == channel.id, Delivery.status == "dead")
            .values(status="pending", attempts=0, next_at=now(session), finished_at=None)
        )
        count = int(updated.rowcount)  # type: ignore[attr-defined]  # an UPDATE has it
        target = ids.public("chan", channel.id)
        audit_log.record(
            session, account_id, actor=actor, action="channel.replayed", target=target, count=count
        )
        after_commit(session, queue.enqueue_delivery)
        return count


@dataclass(slots=True)
class _ChannelTask:
    """One channel's part of a round.

    until  on the monotonic clock; no batch is taken afterwards
    done   attempts whose outcomes are not stored yet
    made   the number of attempts
    """

    claim: Claim
    until: float
    done: list[Done] = field(default_factory=list)
    made: int = 0

    async def advance(self, *, take: bool) -> list[DeliveryBatch]:
        """Store the outcomes, and take the next batch."""
        done, self.done = self.done, []
        self.made += len(done)
        return await asyncio.to_thread(delivery_queue.advance, self.claim, done, take=take)


class _Round:
    """One run over all channels; each has its own task, so that none waits for another."""

    def __init__(
        self, new_session: SessionFactory, is_stopping: Callable[[], bool], idle_grace: float
    ) -> None:
        self._is_stopping, self._idle_grace = is_stopping, idle_grace
        self._until = time.monotonic() + ROUND_SECONDS
        self._tasks: dict[asyncio.Task[None], _ChannelTask] = {}
        self._made = 0
        # Never the threads that run database calls: types that block would delay them.
        self._threads = ThreadPoolExecutor(MAX_CHANNELS, "sending")
        self._transport = Transport(new_session(), self._threads)

    async def work(self) -> int:
        """Send until nothing is due, and return the number of attempts."""
        try:
            with delivery_queue.LEASES.renewing(self._leases):
                await self._send_due()
                await self._end()
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)
        return self._made

    def _leases(self) -> list[Lease[UUID]]:
        return [task.claim.lease for task in list(self._tasks.values())]

    async def _send_due(self) -> None:
        idle_until = 0.0
        while not self._has_timed_out():
            await self._take()
            if self._tasks:
                idle_until = time.monotonic() + self._idle_grace
                await self._await_tasks()
            elif time.monotonic() < idle_until:
                await asyncio.sleep(POLL_SECONDS)
            else:
                break

    def _has_timed_out(self) -> bool:
        return self._is_stopping() or time.monotonic() > self._until

    async def _take(self) -> None:
        """Claim channels with due deliveries; failing channels may take only some of the slots."""
        await asyncio.to_thread(feed.distribute_all)
        room = MAX_CHANNELS - len(self._tasks)
        failing = MAX_FAILING_CHANNELS - sum(task.claim.is_failing for task in self._tasks.values())
        if room and await asyncio.to_thread(delivery_queue.is_due):
            claims = await asyncio.to_thread(
                delivery_queue.claim_due, room, failing=max(failing, 0)
            )
            for claim in claims:
                task = _ChannelTask(claim, min(time.monotonic() + CHANNEL_SECONDS, self._until))
                self._tasks[asyncio.create_task(self._run(task))] = task

    async def _await_tasks(self) -> None:
        await asyncio.wait(self._tasks, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for running in [running for running in self._tasks if running.done()]:
            running.result()
            self._made += self._tasks.pop(running).made

    async def _end(self) -> None:
        """Let running attempts finish; release what takes too long, so that it is retried."""
        if not self._tasks:
            return
        seconds = settings.current().delivery_seconds if self._is_stopping() else GRACE_SECONDS
        for task in self._tasks.values():
            task.until = 0  # takes no further batch
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for running in late:
            running.cancel()
            await self._tasks[running].advance(take=False)
        self._made += sum(task.made for task in self._tasks.values())

    async def _run(self, task: _ChannelTask) -> None:
        """Send what is due to one channel, in batches."""
        batches = await task.advance(take=True)
        while batches:
            batch_until = time.monotonic() + BATCH_SECONDS
            for batch in batches:
                outcome = await senders.send(batch, self._transport)
                task.done.append((batch, outcome))
                is_timed_out = time.monotonic() > min(batch_until, task.until)
                if outcome.error is not None or is_timed_out:
                    break
            is_running = time.monotonic() < task.until and not self._is_stopping()
            batches = await task.advance(take=is_running)

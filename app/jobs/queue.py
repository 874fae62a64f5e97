"""The doorbell: which job runs in which queue, and how one is rung for.

A job carries ids as JSON, never a pickle. Redis may be away: then nothing is raised, the rows are
there, and the clock rings again.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID, uuid4

from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer

from app.jobs import redis

logger = logging.getLogger(__name__)

SCANS, INTAKE, DELIVERY = "scans", "intake", "delivery"
QUEUES = (
    SCANS,
    INTAKE,
    DELIVERY,
)  # one process of a worker each: with two, a worker that is killed loses jobs

JOB_SECONDS = 900  # far above what a chunk takes; the scan's own limits end it long before
MAILBOX_JOB_SECONDS = 60  # of mailboxes: far above what a turn of them takes
FAILURE_SECONDS = 24 * 3600  # how long a failed job can be looked at
CIRCUIT_OPEN_SECONDS = 1.0  # after a failure, nobody waits for Redis again for this long

T = TypeVar("T")


class _QueueConnection:
    """The connection of this process, and until when it is not tried again."""

    def __init__(self, redis_url: str) -> None:
        self.connection = redis.connect(redis_url)
        self._resting_until = 0.0
        self._lock = threading.Lock()

    def queue(self, name: str) -> Queue:
        return Queue(name, connection=self.connection, serializer=JSONSerializer)

    def attempt(self, do: Callable[[], T], otherwise: T) -> T:
        """What ``do`` returns, or ``otherwise`` while Redis is away."""
        if time.monotonic() < self._resting_until:
            return otherwise
        try:
            return do()
        except (RedisError, OSError) as error:
            with self._lock:
                self._resting_until = time.monotonic() + CIRCUIT_OPEN_SECONDS
            logger.warning("redis cannot be reached", extra={"reason": str(error)})
            return otherwise


_connection: _QueueConnection | None = None


def bind(redis_url: str) -> None:
    """Use this Redis from now on; nothing is connected yet."""
    global _connection
    _connection = _QueueConnection(redis_url)


def enqueue_scans(scan_ids: Sequence[UUID], *, at_front: bool = False) -> bool:
    """Have a worker run these scans, in one job.

    at_front  before what waits: somebody is looking at it
    returns   False if Redis is away, after half a second at most
    """
    return _enqueue(SCANS, "worker.jobs.run_scans", scan_ids, at_front=at_front)


def enqueue_report_files(report_file_ids: Sequence[UUID]) -> bool:
    """Have a worker look what is in these files, in one job.

    returns  as ``enqueue_scans``
    """
    return _enqueue(INTAKE, "worker.jobs.process_report_files", report_file_ids)


def enqueue_ownership(domain_ids: Sequence[UUID]) -> bool:
    """Have a worker look whether these domains still prove whose they are, in one job.

    returns  as ``enqueue_scans``
    """
    return _enqueue(SCANS, "worker.jobs.recheck_ownership", domain_ids)


def enqueue_mailbox_poll(mailbox_id: UUID, *, is_late: bool = False) -> bool:
    """Have a worker pull this mailbox, when nothing else waits.

    is_late  … or at once, though files wait; one such job waits at most
    returns  as ``enqueue_scans``
    """
    return _enqueue_unique(
        INTAKE,
        "worker.jobs.poll_mailbox",
        [str(mailbox_id)],
        is_late=is_late,
        seconds=MAILBOX_JOB_SECONDS,
    )


def _enqueue(name: str, job: str, ids: Sequence[UUID], *, at_front: bool = False) -> bool:
    bell = _bound()

    def enqueue() -> bool:
        bell.queue(name).enqueue(
            job,
            [str(id) for id in ids],
            at_front=at_front,
            job_timeout=JOB_SECONDS,
            result_ttl=0,
            failure_ttl=FAILURE_SECONDS,
            description=f"{len(ids)} {name}",
        )
        return True

    return bell.attempt(enqueue, False)


def enqueue_delivery() -> bool:
    """Have a worker send what is due; one job waits at most, for one does all there is.

    returns  False if Redis is away
    """
    bell = _bound()

    def enqueue() -> bool:
        waiting = bell.queue(DELIVERY)
        if len(waiting) == 0:
            waiting.enqueue(
                "worker.jobs.deliver",
                job_timeout=JOB_SECONDS,
                result_ttl=0,
                failure_ttl=FAILURE_SECONDS,
                description="deliveries",
            )
        return True

    return bell.attempt(enqueue, False)


def enqueue_reverse_dns() -> bool:
    """Have a worker look at addresses that are due; False if Redis is away."""
    return _enqueue_unique(SCANS, "worker.jobs.look_up_addresses")


def enqueue_probes() -> bool:
    """Have a worker connect to the mail hosts that are due; False if Redis is away."""
    return _enqueue_unique(SCANS, "worker.jobs.probe_hosts")


def enqueue_report_alerts(*, is_late: bool = False) -> bool:
    """Have a worker judge domains by their reports; as ``enqueue_pull``."""
    return _enqueue_unique(INTAKE, "worker.jobs.evaluate_reports", is_late=is_late)


def _enqueue_unique(
    name: str,
    function: str,
    ids: Sequence[str] | None = None,
    *,
    is_late: bool = False,
    seconds: int = JOB_SECONDS,
) -> bool:
    """A job for when nothing else waits in the queue: nobody waits for it, and it comes again.

    is_late  it has waited for that too long: the next job is this, if none like it waits
    """
    bell = _bound()
    kind = function.rpartition(".")[2]

    def enqueue() -> bool:
        waiting = bell.queue(name)
        others = waiting.job_ids
        if not others or (is_late and not any(other.startswith(kind) for other in others)):
            waiting.enqueue(
                function,
                *([] if ids is None else [list(ids)]),
                job_id=f"{kind}-{uuid4().hex}",
                at_front=is_late,
                job_timeout=seconds,
                result_ttl=0,
                failure_ttl=FAILURE_SECONDS,
                description=kind,
            )
        return True

    return bell.attempt(enqueue, False)


def is_idle(name: str) -> bool:
    """Whether no job waits in the queue; False while Redis is away."""
    return length(name) == 0


def length(name: str) -> int | None:
    """How many jobs wait in the queue; None while Redis is away."""
    bell = _bound()
    return bell.attempt(lambda: len(bell.queue(name)), None)


def is_ready() -> bool:
    """Whether Redis answers."""
    bell = _bound()
    return bell.attempt(lambda: bool(bell.connection.ping()), False)


def _bound() -> _QueueConnection:
    if _connection is None:
        raise RuntimeError("queue.bind() has not been called in this process")
    return _connection

"""The job queues: one function for each job, which enqueues it.

A job carries ids as JSON, never a pickle. If Redis is unavailable nothing is raised: the rows are
stored, and the clock process enqueues the job later.
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

SCANS, INGEST, DELIVERY = "scans", "ingest", "delivery"
# Each queue has a worker process of its own: with two queues, a worker that is killed loses jobs.
QUEUES = (SCANS, INGEST, DELIVERY)

JOB_SECONDS = 900  # far more than a batch takes; scans have their own, shorter limits
MAILBOX_JOB_SECONDS = 60  # for mailboxes: far more than a batch of them takes
FAILURE_SECONDS = 24 * 3600  # how long a failed job is stored for inspection
CIRCUIT_OPEN_SECONDS = 1.0  # after a failure, Redis is not tried again for this long

T = TypeVar("T")


class _QueueConnection:
    """The Redis connection of this process, with a pause after failures."""

    def __init__(self, redis_url: str) -> None:
        self.connection = redis.connect(redis_url)
        self._resting_until = 0.0
        self._lock = threading.Lock()

    def queue(self, name: str) -> Queue:
        return Queue(name, connection=self.connection, serializer=JSONSerializer)

    def attempt(self, do: Callable[[], T], otherwise: T) -> T:
        """The result of ``do``, or ``otherwise`` while Redis is unavailable."""
        if time.monotonic() < self._resting_until:
            return otherwise
        try:
            return do()
        except (RedisError, OSError) as error:
            with self._lock:
                self._resting_until = time.monotonic() + CIRCUIT_OPEN_SECONDS
            logger.warning("Redis unavailable", extra={"reason": str(error)})
            return otherwise


_connection: _QueueConnection | None = None


def bind(redis_url: str) -> None:
    """Use this Redis from now on; the connection is opened on first use."""
    global _connection
    _connection = _QueueConnection(redis_url)


def enqueue_scans(scan_ids: Sequence[UUID], *, at_front: bool = False) -> bool:
    """Enqueue one job that runs these scans.

    at_front  before all other jobs, because a person is waiting for the result
    returns   False if Redis is unavailable, after half a second at most
    """
    return _enqueue(SCANS, "worker.jobs.run_scans", scan_ids, at_front=at_front)


def enqueue_report_files(report_file_ids: Sequence[UUID]) -> bool:
    """Enqueue one job that parses these report files.

    returns  as ``enqueue_scans``
    """
    return _enqueue(INGEST, "worker.jobs.process_report_files", report_file_ids)


def enqueue_ownership(domain_ids: Sequence[UUID]) -> bool:
    """Enqueue one job that verifies the ownership of these domains again.

    returns  as ``enqueue_scans``
    """
    return _enqueue(SCANS, "worker.jobs.recheck_ownership", domain_ids)


def enqueue_mailbox_poll(mailbox_id: UUID, *, is_late: bool = False) -> bool:
    """Enqueue a job that polls this mailbox, if no other job is waiting.

    is_late  enqueue it before the waiting jobs, but at most one such job
    returns  as ``enqueue_scans``
    """
    return _enqueue_unique(
        INGEST,
        "worker.jobs.poll_mailbox",
        [str(mailbox_id)],
        is_late=is_late,
        seconds=MAILBOX_JOB_SECONDS,
    )


def _enqueue(name: str, job: str, ids: Sequence[UUID], *, at_front: bool = False) -> bool:
    client = _bound()

    def enqueue() -> bool:
        client.queue(name).enqueue(
            job,
            [str(id) for id in ids],
            at_front=at_front,
            job_timeout=JOB_SECONDS,
            result_ttl=0,
            failure_ttl=FAILURE_SECONDS,
            description=f"{len(ids)} {name}",
        )
        return True

    return client.attempt(enqueue, False)


def enqueue_delivery() -> bool:
    """Enqueue a job that sends all due deliveries; at most one such job waits.

    returns  False if Redis is unavailable
    """
    client = _bound()

    def enqueue() -> bool:
        waiting = client.queue(DELIVERY)
        if len(waiting) == 0:
            waiting.enqueue(
                "worker.jobs.deliver",
                job_timeout=JOB_SECONDS,
                result_ttl=0,
                failure_ttl=FAILURE_SECONDS,
                description="deliveries",
            )
        return True

    return client.attempt(enqueue, False)


def enqueue_reverse_dns() -> bool:
    """Enqueue a job for due reverse DNS lookups; False if Redis is unavailable."""
    return _enqueue_unique(SCANS, "worker.jobs.look_up_addresses")


def enqueue_probes() -> bool:
    """Enqueue a job for due STARTTLS probes; False if Redis is unavailable."""
    return _enqueue_unique(SCANS, "worker.jobs.probe_hosts")


def enqueue_report_alerts(*, is_late: bool = False) -> bool:
    """Enqueue a job that evaluates domains by their reports; as ``enqueue_pull``."""
    return _enqueue_unique(INGEST, "worker.jobs.evaluate_reports", is_late=is_late)


def _enqueue_unique(
    name: str,
    function: str,
    ids: Sequence[str] | None = None,
    *,
    is_late: bool = False,
    seconds: int = JOB_SECONDS,
) -> bool:
    """Enqueue a low-priority job, if no other job is waiting in the queue; it is retried later.

    is_late  the job is overdue: enqueue it first, unless one of its kind is waiting
    """
    client = _bound()
    kind = function.rpartition(".")[2]

    def enqueue() -> bool:
        waiting = client.queue(name)
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

    return client.attempt(enqueue, False)


def is_idle(name: str) -> bool:
    """Whether no job is waiting in the queue; False while Redis is unavailable."""
    return length(name) == 0


def length(name: str) -> int | None:
    """The number of jobs waiting in the queue; None while Redis is unavailable."""
    client = _bound()
    return client.attempt(lambda: len(client.queue(name)), None)


def is_ready() -> bool:
    """Whether Redis answers."""
    client = _bound()
    return client.attempt(lambda: bool(client.connection.ping()), False)


def _bound() -> _QueueConnection:
    if _connection is None:
        raise RuntimeError("queue.bind() has not been called in this process")
    return _connection

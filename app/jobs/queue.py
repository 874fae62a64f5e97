"""The job queues, with one function for each job that enqueues it.

A job carries ids as JSON, never a pickle. The functions raise nothing if Redis is unavailable: the
rows are stored, and the clock process enqueues the job later.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID, uuid4

from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer

from app import wall_clock
from app.jobs import redis

logger = logging.getLogger(__name__)

SCANS, INGEST, DELIVERY = "scans", "ingest", "delivery"
# Each queue has its own worker process: with two queues, a worker that is killed loses jobs.
QUEUES = (SCANS, INGEST, DELIVERY)

JOB_SECONDS = 900  # far more than a batch takes; scans have their own, shorter limits
MAILBOX_JOB_SECONDS = 60  # for mailboxes: far more than a batch of them takes
FAILURE_SECONDS = 24 * 3600  # how long a failed job is stored for inspection
CIRCUIT_OPEN_SECONDS = 1.0  # after a failure, Redis is not tried again for this long
CLOCK = "clock"
SEEN_SECONDS = 60  # workers report every 45 seconds at least, the clock every 10
_SEEN_KEY = "mailwatch:seen:"
_SEEN_AT_KEY = "mailwatch:seen_at"

T = TypeVar("T")


class _QueueConnection:
    """The Redis connection of this process, which is not used for a second after a failure."""

    def __init__(self, redis_url: str) -> None:
        self.redis = redis.connect(redis_url)
        self._open_until = 0.0
        self._lock = threading.Lock()

    def queue(self, name: str) -> Queue:
        return Queue(name, connection=self.redis, serializer=JSONSerializer)

    def attempt(self, operation: Callable[[], T], default: T) -> T:
        """Return the result of the operation, or the default while Redis is unavailable."""
        if time.monotonic() < self._open_until:
            return default
        try:
            return operation()
        except (RedisError, OSError) as error:
            with self._lock:
                self._open_until = time.monotonic() + CIRCUIT_OPEN_SECONDS
            logger.warning("Redis unavailable", extra={"reason": redis.failure_reason(error)})
            return default


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

    is_late  enqueue it before the waiting jobs, unless a job of its kind is waiting
    returns  as ``enqueue_scans``
    """
    return _enqueue_unique(
        INGEST,
        "worker.jobs.poll_mailbox",
        [str(mailbox_id)],
        is_late=is_late,
        seconds=MAILBOX_JOB_SECONDS,
    )


def enqueue_forwarding(*, is_late: bool = False) -> bool:
    """Enqueue a job that forwards records to sinks, as ``enqueue_mailbox_poll`` does."""
    return _enqueue_unique(
        INGEST, "worker.jobs.forward_records", is_late=is_late, seconds=MAILBOX_JOB_SECONDS
    )


def _enqueue(name: str, job: str, ids: Sequence[UUID], *, at_front: bool = False) -> bool:
    connection = _bound()

    def enqueue() -> bool:
        connection.queue(name).enqueue(
            job,
            [str(id) for id in ids],
            at_front=at_front,
            job_timeout=JOB_SECONDS,
            result_ttl=0,
            failure_ttl=FAILURE_SECONDS,
            description=f"{len(ids)} {name}",
        )
        return True

    return connection.attempt(enqueue, False)


def enqueue_delivery() -> bool:
    """Enqueue a job that sends all due deliveries; at most one such job waits.

    returns  False if Redis is unavailable
    """
    connection = _bound()

    def enqueue() -> bool:
        deliveries = connection.queue(DELIVERY)
        if len(deliveries) == 0:
            deliveries.enqueue(
                "worker.jobs.deliver",
                job_timeout=JOB_SECONDS,
                result_ttl=0,
                failure_ttl=FAILURE_SECONDS,
                description="deliveries",
            )
        return True

    return connection.attempt(enqueue, False)


def enqueue_reverse_dns() -> bool:
    """Enqueue a job for due reverse DNS lookups; False if Redis is unavailable."""
    return _enqueue_unique(SCANS, "worker.jobs.look_up_addresses")


def enqueue_probes() -> bool:
    """Enqueue a job for due STARTTLS probes; False if Redis is unavailable."""
    return _enqueue_unique(SCANS, "worker.jobs.probe_hosts")


def enqueue_report_alerts(*, is_late: bool = False) -> bool:
    """Enqueue a job that evaluates domains by their reports, as ``enqueue_mailbox_poll`` does."""
    return _enqueue_unique(INGEST, "worker.jobs.evaluate_reports", is_late=is_late)


def _enqueue_unique(
    name: str,
    function: str,
    ids: Sequence[str] | None = None,
    *,
    is_late: bool = False,
    seconds: int = JOB_SECONDS,
) -> bool:
    """Enqueue a low-priority job if no other job is waiting; the clock process tries it again.

    is_late  the job is overdue: enqueue it first, unless one of its kind is waiting
    """
    connection = _bound()
    kind = function.rpartition(".")[2]

    def enqueue() -> bool:
        jobs = connection.queue(name)
        waiting_ids = jobs.job_ids
        is_waiting = any(job_id.startswith(kind) for job_id in waiting_ids)
        if not waiting_ids or (is_late and not is_waiting):
            jobs.enqueue(
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

    return connection.attempt(enqueue, False)


def is_idle(name: str) -> bool:
    """Return whether no job is waiting in the queue; False while Redis is unavailable."""
    return length(name) == 0


def length(name: str) -> int | None:
    """Return the number of jobs waiting in the queue; None while Redis is unavailable."""
    connection = _bound()
    return connection.attempt(lambda: len(connection.queue(name)), None)


def report_seen(name: str) -> bool:
    """Store that a process runs: the name of a queue for its worker, or CLOCK.

    returns  False if Redis is unavailable
    """
    connection = _bound()

    def report() -> bool:
        pipeline = connection.redis.pipeline(transaction=False)
        pipeline.set(_SEEN_KEY + name, 1, ex=SEEN_SECONDS)
        pipeline.hset(_SEEN_AT_KEY, name, str(wall_clock.seconds()))
        return all(result is not False for result in pipeline.execute())

    return connection.attempt(report, False)


def report_clock_seen() -> bool:
    """Store that the clock process runs, as ``report_seen`` does."""
    return report_seen(CLOCK)


def seen() -> Mapping[str, bool] | None:
    """Return for each queue and CLOCK whether its process was seen in the last SEEN_SECONDS.

    returns  None while Redis is unavailable
    """
    connection = _bound()
    names = (*QUEUES, CLOCK)
    keys = [_SEEN_KEY + name for name in names]
    values = connection.attempt(lambda: list(connection.redis.mget(keys)), None)
    return (
        None if values is None else {n: v is not None for n, v in zip(names, values, strict=True)}
    )


def seen_at() -> Mapping[str, float] | None:
    """Return when the process of each queue and CLOCK was last seen, in epoch seconds; 0: never.

    returns  None while Redis is unavailable
    """
    connection = _bound()
    names = (*QUEUES, CLOCK)
    values = connection.attempt(lambda: connection.redis.hmget(_SEEN_AT_KEY, names), None)
    return (
        None if values is None else {n: float(v or 0) for n, v in zip(names, values, strict=True)}
    )


def is_ready() -> bool:
    """Return whether Redis answers."""
    connection = _bound()
    return connection.attempt(lambda: bool(connection.redis.ping()), False)


def _bound() -> _QueueConnection:
    if _connection is None:
        raise RuntimeError("queue.bind() has not been called in this process")
    return _connection

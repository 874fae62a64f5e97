"""An RQ worker for one queue, with a fork for each job."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Worker
from rq.job import Job
from rq.serializers import JSONSerializer

from app import settings
from app.jobs import queue
from app.metrics import increments
from worker import jobs, shutdown

WORKER_TTL = 60  # seconds without a heartbeat after which a worker counts as dead
MAINTENANCE_SECONDS = 30
HEARTBEAT_SECONDS = 10
REDIS_UNAVAILABLE = 3  # exit status
_STOP_HORSE = signal.SIGUSR1


class JobNotAllowed(Exception):
    """The queue names a function that is not in ``jobs.JOBS``."""


class AllowedJob(Job):
    """A job with a function of ``jobs.JOBS``: names from Redis are never imported."""

    @property
    def func(self) -> Callable[..., Any]:
        try:
            return jobs.JOBS[self.func_name or ""]
        except KeyError:
            raise JobNotAllowed(self.func_name) from None

    def perform(self) -> Any:
        """Run the job, and store its metrics: RQ ends the process of a job without exit hooks."""
        try:
            return super().perform()
        finally:
            increments.flush()

    @property
    def success_callback(self) -> None:
        return None

    @property
    def failure_callback(self) -> None:
        return None

    @property
    def stopped_callback(self) -> None:
        return None

    def restore(self, raw_data: Any) -> Any:
        restored = super().restore(raw_data)
        self.webhooks = []
        return restored


class ScanWorker(Worker):
    """A worker that signals a stop to its job, so that the job can release unfinished work."""

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.horse_pid, _STOP_HORSE)
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]  # RQ's

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Store that this worker runs; end it if Redis stays unavailable.

        RQ would retry in this process, and log each failure.
        """
        try:
            super().heartbeat(timeout, pipeline)
        except RedisError:
            sys.exit(REDIS_UNAVAILABLE)
        for name in self.queue_names():
            queue.report_seen(name)

    def setup_work_horse_signals(self) -> None:
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]  # RQ's
        # Some platforms send SIGTERM to every process, including the job's.
        shutdown.listen(signal.SIGTERM, _STOP_HORSE)


def main(name: str) -> int:
    """Run jobs of this queue until SIGTERM; the settings of the process are loaded already.

    returns  REDIS_UNAVAILABLE if Redis fails; the supervisor logs it
    """
    logging.getLogger("rq.worker").addFilter(_is_not_redis_failure)
    try:
        return _work(name)
    except (RedisError, OSError):
        return REDIS_UNAVAILABLE


def _is_not_redis_failure(record: logging.LogRecord) -> bool:
    """Whether to log the record; failures of Redis are logged by the supervisor."""
    return not (record.exc_info and isinstance(record.exc_info[1], RedisError))


def _work(name: str) -> int:
    connection = Redis.from_url(settings.current().redis_client_url, socket_connect_timeout=5)
    worker = ScanWorker(
        [name],
        connection=connection,
        serializer=JSONSerializer,
        job_class=AllowedJob,
        worker_ttl=WORKER_TTL,
        maintenance_interval=MAINTENANCE_SECONDS,
        job_monitoring_interval=HEARTBEAT_SECONDS,
        log_job_description=False,
        work_horse_killed_handler=lambda *_: _notify(name),
    )
    _notify(name)
    worker.work()
    return 0


def _notify(name: str) -> None:
    """Enqueue the delivery job, which continues the deliveries of a killed process."""
    if name == queue.DELIVERY:
        queue.enqueue_delivery()

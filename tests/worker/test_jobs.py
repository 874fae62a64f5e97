"""Jobs in a real queue: allowed functions, duplicates and lost jobs."""

from typing import Any
from uuid import UUID

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import SimpleWorker

from app import runtime
from app.jobs import queue
from app.services.scans import runner, scans
from tests.support.factories import make_account, make_domain, make_scan
from tests.support.zones import Zone, ZoneNetwork
from worker.rq_worker import AllowedJob, JobNotAllowed

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def connection(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(runtime, "_network", ZoneNetwork(Zone({"acme.test": ["v=spf1 -all"]})))
    queue.bind(redis_url)
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def account_id() -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test")
    return account.id


def run_jobs(connection: Any) -> None:
    """Run the queued jobs in this process."""
    worker = SimpleWorker(
        [queue.SCANS], connection=connection, serializer=JSONSerializer, job_class=AllowedJob
    )
    worker.work(burst=True, logging_level="ERROR")


def test_triggered_scan_runs(connection: Any, account_id: UUID) -> None:
    queued = make_scan(account_id, "acme.test")
    run_jobs(connection)
    assert scans.find(account_id, queued.id).status == "completed"


def test_duplicate_job_runs_a_scan_once(connection: Any, account_id: UUID) -> None:
    queued = make_scan(account_id, "acme.test")
    assert queue.enqueue_scans([queued.id])
    run_jobs(connection)
    assert scans.find(account_id, queued.id).attempt == 1


def test_scan_with_lost_job_is_enqueued_again(connection: Any, account_id: UUID) -> None:
    queued = make_scan(account_id, "acme.test")
    connection.flushall()
    run_jobs(connection)
    assert scans.find(account_id, queued.id).status == "queued"
    assert queue.is_idle(queue.SCANS)
    scans.enqueue([queued.id])
    run_jobs(connection)
    assert scans.find(account_id, queued.id).status == "completed"
    assert runner.requeue_stale() == 0


def test_queued_jobs_are_json_and_never_pickles(connection: Any, account_id: UUID) -> None:
    queued = make_scan(account_id, "acme.test")
    job = Queue(queue.SCANS, connection=connection, serializer=JSONSerializer).jobs[0]
    assert (job.func_name, list(job.args)) == ("worker.jobs.run_scans", [[str(queued.id)]])


@pytest.mark.parametrize(
    "name", ["os.system", "worker.jobs.UUID", "app.services.scans.scans.cancel"]
)
def test_only_allowed_functions_run(connection: Any, name: str) -> None:
    job = AllowedJob.create(name, ["true"], connection=connection, serializer=JSONSerializer)
    with pytest.raises(JobNotAllowed):
        _ = job.func
    Queue(queue.SCANS, connection=connection, serializer=JSONSerializer).enqueue_job(job)
    run_jobs(connection)
    assert Job.fetch(job.id, connection, serializer=JSONSerializer).is_failed


def test_unavailable_redis_is_logged_and_not_raised() -> None:
    queue.bind("redis://127.0.0.1:1/0")
    assert queue.enqueue_scans([UUID(int=1)]) is False
    assert queue.is_idle(queue.SCANS) is False
    assert queue.is_ready() is False

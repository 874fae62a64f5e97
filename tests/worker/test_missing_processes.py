"""What /readyz shows about workers and the clock, and a worker without Redis."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from redis import Redis

from app.jobs import queue
from tests.support.servers import start_valkey
from tests.support.service_processes import running, wait_until


def readiness(app: Flask) -> Any:
    return app.test_client().get("/readyz").json


def lines_of_supervisor(log: Path) -> int:
    """Return how often the process that starts the workers logged that Redis is unavailable."""
    return log.read_text().count('"logger":"worker","message":"Redis unavailable"')


@pytest.mark.usefixtures("connection")
def test_readiness_shows_processes_that_were_never_seen(app: Flask) -> None:
    state = readiness(app)
    assert state["workers"] == dict.fromkeys(queue.QUEUES, "missing")
    assert (state["status"], state["redis"], state["clock"]) == ("ok", "ok", "missing")


def test_readiness_shows_running_processes(
    app: Flask, connection: Any, redis_url: str, tmp_path: Path
) -> None:
    with running("worker", redis_url, tmp_path), running("worker.clock", redis_url, tmp_path):
        wait_until(lambda: "missing" not in json.dumps(readiness(app)))
    assert readiness(app)["workers"] == dict.fromkeys(queue.QUEUES, "ok")
    assert all(0 < connection.ttl(key) <= 60 for key in connection.keys("mailwatch:seen:*"))


def test_readiness_does_not_know_the_processes_without_redis(app: Flask) -> None:
    state = readiness(app)
    assert state["workers"] == dict.fromkeys(queue.QUEUES, "unknown")
    assert (state["redis"], state["clock"]) == ("degraded", "unknown")


def test_worker_without_redis_logs_one_line_and_starts_when_it_is_back(tmp_path: Path) -> None:
    redis = start_valkey(tmp_path / "valkey")
    redis.kill()
    try:
        with running("worker scans ingest", redis.url, tmp_path) as log:
            wait_until(lambda: lines_of_supervisor(log) == 1)
            time.sleep(3)  # six attempts
            assert lines_of_supervisor(log) == 1
            redis.restart()
            with Redis.from_url(redis.url) as client:
                wait_until(lambda: client.scard("rq:workers") == 2)
                redis.kill()
                wait_until(lambda: lines_of_supervisor(log) == 2)
                time.sleep(3)
                assert lines_of_supervisor(log) == 2
                assert "Traceback" not in log.read_text()
                redis.restart()
                wait_until(lambda: client.scard("rq:workers") == 2)
    finally:
        redis.stop()

"""Fault injection: short in the test suite, long in ``./dev drill``.

Each drill raises AssertionError, with what went wrong, and returns what it saw in one line.
"""

import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from app.db.transactions import transaction
from app.models import Alert, AlertTransition, Scan
from tests.e2e.service import Answer, Service, wait_for
from tests.support.servers import Server

WEB_PROCESSES = 2


def add_domains(service: Service, token: str) -> None:
    """Every domain of the service's zone, in the account of the key."""
    for start in range(0, len(service.names), 500):
        domains = [{"name": name, "schedule": "off"} for name in service.names[start : start + 500]]
        answer = service.call("POST", "/v1/domains/batch", token, {"domains": domains})
        assert answer.status == 200, answer.json
        assert answer.json["data"]["rejected"] == 0, answer.json


def kill_workers(service: Service, token: str, account_id: UUID, kills: int) -> str:
    """Scans complete with one result each and no duplicate alert, whenever workers are killed."""
    answer = service.call("POST", "/v1/scans", token, {"all": True})
    assert answer.status == 202, answer.json
    batch = answer.json["data"]["id"]
    killed = 0
    for _ in range(kills):
        time.sleep(1.5)
        killed += service.kill_below("worker")
    wait_for(lambda: _batch(service, token, batch)["status"] == "completed", "the scans", 300)
    counts = _batch(service, token, batch)["counts"]
    assert counts == {"completed": len(service.names)}, counts
    assert_complete(account_id, len(service.names))
    return f"{len(service.names)} scans, {killed} processes killed: {counts}"


def assert_complete(account_id: UUID, scans: int) -> None:
    """Check the number of completed scans, and that each alert exists and was opened only once."""
    with transaction(readonly=True) as session:
        counted = session.execute(
            select(Scan.status, func.count())
            .where(Scan.account_id == account_id)
            .group_by(Scan.status)
        )
        statuses = {row[0]: row[1] for row in counted}
        alerts = session.execute(
            select(Alert.domain_id, Alert.type, Alert.subject, func.count())
            .where(Alert.account_id == account_id)
            .group_by(Alert.domain_id, Alert.type, Alert.subject)
        ).all()
        openings = session.execute(
            select(AlertTransition.alert_id, func.count())
            .where(AlertTransition.account_id == account_id)
            .group_by(AlertTransition.alert_id)
        ).all()
    assert statuses == {"completed": scans}, statuses
    assert alerts, "no alert was recorded"
    assert max(count for *_, count in alerts) == 1
    assert max(count for _, count in openings) == 1


def stop_redis(service: Service, redis: Server, token: str, seconds: float) -> str:
    """Every POST gets a 202 while Redis is unavailable; all scans complete when it returns."""
    answers: list[Answer] = []
    redis.kill()
    until = time.monotonic() + seconds
    for name in service.names:
        answers.append(service.call("POST", f"/v1/domains/{name}/scans", token))
        if time.monotonic() > until:
            break
        time.sleep(seconds / len(service.names) / 2)
    redis.restart()
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) == {202}, statuses
    ids = [answer.json["data"]["id"] for answer in answers]
    wait_for(lambda: all(_status(service, token, id) == "completed" for id in ids), "scans", 300)
    return f"{len(ids)} scans triggered without Redis: all 202, all completed"


def hang_redis(service: Service, redis: Server, token: str, limit: int) -> str:
    """If Redis does not answer, calls are answered, and the limit still applies.

    token  of a key with ``limit`` calls a minute
    """
    assert redis.process is not None
    redis.process.send_signal(signal.SIGSTOP)
    try:
        answers, slowest = [], 0.0
        for _ in range(3 * limit):
            started = time.monotonic()
            answers.append(service.call("GET", "/v1/me", token))
            slowest = max(slowest, time.monotonic() - started)
    finally:
        redis.process.send_signal(signal.SIGCONT)
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) == {200, 429}, statuses
    assert limit <= statuses[200] <= WEB_PROCESSES * limit, statuses
    assert all(answer.headers["X-RateLimit-Remaining"].isdigit() for answer in answers)
    return f"Redis hung: {dict(statuses)}, the slowest answer after {slowest:.2f} s"


def share_limit(service: Service, token: str, clients: int = 8, calls: int = 20) -> str:
    """Parallel clients with one key over all web processes get exactly 100 answers a window."""
    answers: list[Answer] = []
    lock = threading.Lock()

    def call_often() -> None:
        for _ in range(calls):
            answer = service.call("GET", "/v1/me", token)
            with lock:
                answers.append(answer)

    with ThreadPoolExecutor(clients) as pool:
        for future in [pool.submit(call_often) for _ in range(clients)]:
            future.result()
    statuses = Counter(answer.status for answer in answers)
    assert statuses == {200: 100, 429: clients * calls - 100}, statuses
    windows = {answer.headers["X-RateLimit-Reset"] for answer in answers}
    assert len(windows) == 1, windows
    good = [int(a.headers["X-RateLimit-Remaining"]) for a in answers if a.status == 200]
    assert sorted(good) == list(range(100)), "two answers said the same rest"
    refused = [answer for answer in answers if answer.status == 429]
    assert {a.headers["X-RateLimit-Remaining"] for a in refused} == {"0"}
    assert {a.json["error"]["code"] for a in refused} == {"rate_limit_exceeded"}
    return f"{clients} clients: {dict(statuses)}, one window"


def _batch(service: Service, token: str, batch: str) -> Any:
    answer = service.call("GET", f"/v1/scan-batches/{batch}", token)
    return answer.json["data"] if answer.status == 200 else {"status": "running", "counts": {}}


def _status(service: Service, token: str, scan: str) -> str | None:
    answer = service.call("GET", f"/v1/scans/{scan}", token)
    return answer.json["data"]["status"] if answer.status == 200 else None

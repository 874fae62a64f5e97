"""GET /v1/scans/{id}?wait=…: the request waits until the scan is finished."""

import threading
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.engine import Engine

from app.limits.concurrency import ConcurrencyLimitExceeded, Slots
from tests.support.api_client import Client
from tests.support.api_scans import run


@pytest.fixture
def queued(client: Client) -> Any:
    """A queued scan."""
    client.data("POST", "/v1/domains", 201, json={"name": "acme.test"})
    return client.data("POST", "/v1/domains/acme.test/scans", 202)


class Waiter(threading.Thread):
    """A request that waits for a scan in a thread of its own."""

    def __init__(self, client: Client, scan: Any) -> None:
        super().__init__(daemon=True)
        self._client, self._path = client, f"/v1/scans/{scan['id']}?wait=30"
        self.response: Any = None

    def run(self) -> None:
        self.response = self._client("GET", self._path)

    def expect_waiting(self) -> None:
        """Return once the request has the only slot of this process."""
        slots: Slots = self._client.app.extensions["slots"]
        while self.is_alive():
            try:
                slots.acquire_in_process("wait", 1, 60).release()
            except ConcurrencyLimitExceeded:
                return
        raise AssertionError("the request did not wait")


def test_response_comes_when_the_scan_is_finished(client: Client, queued: Any) -> None:
    waiter = Waiter(client, queued)
    waiter.start()
    waiter.expect_waiting()
    done = run(client, queued)
    waiter.join(60)
    assert waiter.response.json["data"] == done
    assert done["status"] == "completed"


def test_waiting_request_holds_no_database_connection(
    client: Client, queued: Any, database: Engine
) -> None:
    waiter = Waiter(client, queued)
    waiter.start()
    waiter.expect_waiting()
    pool: Any = database.pool
    while pool.checkedout() and waiter.is_alive():
        pass  # between two reads of the row, every connection is in the pool
    assert waiter.is_alive()
    run(client, queued)
    waiter.join(60)


def test_scan_is_returned_unchanged_when_the_time_is_over(client: Client, queued: Any) -> None:
    response = client("GET", f"/v1/scans/{queued['id']}?wait=1")
    assert response.json["data"]["status"] == "queued"
    assert "Retry-After" not in response.headers


def test_finished_scan_is_returned_immediately(client: Client, queued: Any) -> None:
    done = run(client, queued)
    assert client.data("GET", f"/v1/scans/{queued['id']}?wait=30") == done


def test_waiting_ends_when_the_process_stops(client: Client, queued: Any) -> None:
    environ = {"web_server.is_stopping": lambda: True}
    path = f"/v1/scans/{queued['id']}?wait=30"
    assert client.data("GET", path, environ_overrides=environ)["status"] == "queued"


@pytest.mark.parametrize("threads", [1, 4])
def test_half_of_the_threads_of_a_process_may_wait(
    app: Flask, client: Client, queued: Any, threads: int
) -> None:
    slots: Slots = app.extensions["slots"]
    environ = {"web_server.threads": threads}
    path = f"/v1/scans/{queued['id']}?wait=30"
    with ExitStack() as others:
        for _ in range(threads // 2):
            others.enter_context(slots.acquire_in_process("wait", threads // 2, 60))
        response = client("GET", path, environ_overrides=environ)
    assert (response.status_code, response.json["data"]["status"]) == (200, "queued")
    assert response.headers["Retry-After"] == "2"


def test_two_requests_of_an_account_may_wait(app: Flask, client: Client, queued: Any) -> None:
    slots: Slots = app.extensions["slots"]
    with ExitStack() as others:
        for _ in range(2):
            others.enter_context(slots.acquire("wait", str(client.account_id), 2, 60))
        path = f"/v1/scans/{queued['id']}?wait=30"
        assert client("GET", path).headers["Retry-After"] == "2"
        done = run(client, queued)
        response = client("GET", path)
    assert response.json["data"] == done
    assert "Retry-After" not in response.headers


@pytest.mark.parametrize("wait", ["-1", "31", "x", "1.5", ""])
def test_invalid_wait_is_refused(client: Client, queued: Any, wait: str) -> None:
    response = client("GET", f"/v1/scans/{queued['id']}?wait={wait}")
    assert response.status_code == 400
    assert response.json["error"]["details"][0]["field"] == "wait"


def test_scan_of_another_account_is_not_waited_for(stranger: Client, queued: Any) -> None:
    assert stranger("GET", f"/v1/scans/{queued['id']}?wait=30").status_code == 404

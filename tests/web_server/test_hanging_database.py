"""Requests while PostgreSQL is stopped, so that it keeps its connections and answers nothing."""

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.db import engine
from app.services.api_keys import key_tokens
from app.settings import Settings, types
from tests.support import databases, gunicorn, servers
from tests.support.factories import make_account, make_key
from tests.support.gunicorn import Gunicorn, Response
from tests.support.servers import Server

LIMIT = 70  # of the key; without a key, a client has 30 requests a minute
CONCURRENT = 12  # three times the number of threads
RECOVERY_SECONDS = 30


@dataclass
class Service:
    """A web process, the PostgreSQL server that only it uses, and a key."""

    web: Gunicorn
    postgres: Server
    token: str

    def get(self, path: str, token: str | None = None) -> Response:
        """The response to one request."""
        wire = self.web.connect()
        bearer = token or self.token
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n\r\n"
        wire.send(head.encode())
        response = wire.response()
        wire.client.close()
        return response

    @contextmanager
    def stopped_database(self) -> Iterator[None]:
        """Stop all processes of the server, and continue them at the end."""
        assert self.postgres.process is not None
        parent = self.postgres.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        stopped = [parent, *map(int, children)]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in reversed(stopped):
                os.kill(pid, signal.SIGCONT)

    def wait_until_ready(self) -> None:
        """Wait until the web process is ready, without a restart."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        while self.get("/readyz").status != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    if os.environ.get("TEST_POSTGRES_URL"):
        pytest.skip("the processes of an external PostgreSQL server cannot be stopped")
    directory = tmp_path_factory.mktemp("hanging")
    postgres = servers.start_postgres(directory / "postgres")
    url = types.database_url(postgres.url)
    settings = Settings(secret_key="e" * 40, database_url=url, redis_url=servers.NO_REDIS)
    databases.migrate(url)
    connected = engine.connect(url)
    databases.use(connected, settings)
    _, token = make_key(make_account().id, rate_limit=f"{LIMIT} per minute")
    connected.dispose()
    web = gunicorn.start(
        directory, application="wsgi:app", DATABASE_URL=postgres.url, WEB_THREADS="4"
    )
    yield Service(web, postgres, token)
    gunicorn.stop(web)
    postgres.stop()


def test_requests_are_503_with_the_limits_of_the_key_and_work_again_later(
    service: Service,
) -> None:
    assert service.get("/v1/me").status == 200
    service.wait_until_ready()
    process = service.web.process.pid
    with service.stopped_database(), ThreadPoolExecutor(CONCURRENT) as pool:
        paths = ["/v1/domains", "/readyz", "/v1/me"] * (CONCURRENT // 3)
        responses = list(pool.map(service.get, paths))
        responses += [service.get("/v1/domains") for _ in range(40)]
        unknown = [service.get("/v1/domains", key_tokens.mint()) for _ in range(40)]
    answered = [response for response in responses if response.status != 200]  # from a cache
    assert {response.status for response in answered} == {503}
    assert len(answered) > len(responses) // 2
    api = [response for response in answered if b'"error"' in response.body]
    assert {response.headers["x-ratelimit-limit"] for response in api} == {str(LIMIT)}
    assert {response.headers["retry-after"] for response in (*api, *unknown)} == {"5"}
    assert {response.status for response in unknown} == {503}
    service.wait_until_ready()
    assert service.get("/v1/domains").status == 200
    assert service.web.process.pid == process
    assert service.web.process.poll() is None


def test_readiness_names_the_database_that_hangs(service: Service) -> None:
    service.wait_until_ready()
    with service.stopped_database():
        response = service.get("/readyz")
        assert response.status == 503
        assert json.loads(response.body)["database"] == "unavailable"
        assert service.get("/healthz").status == 200
    service.wait_until_ready()


def test_slow_statement_is_not_ended_by_the_watchdog(service: Service) -> None:
    connected = engine.connect(types.database_url(service.postgres.url))
    from app.db import watchdog

    assert watchdog.of(connected) is watchdog.of(connected)
    with connected.connect() as connection:
        slow = connection.exec_driver_sql("SELECT 7 FROM pg_sleep(3)")
        assert slow.scalar_one() == 7
    connected.dispose()

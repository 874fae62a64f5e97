"""Fixtures: databases, Valkey and settings; network access beyond loopback is blocked.

Every pytest-xdist worker starts its own servers when the first test needs them.
"""

import gc
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from sqlalchemy.engine import Engine, make_url

from app.db import engine as db_engine
from app.settings import Settings
from app.settings import types as setting_types
from tests.support import servers
from tests.support.servers import NO_REDIS
from tests.support.zones import Zone

if TYPE_CHECKING:
    from flask import Flask

# The fixtures import what only they need, so that the unit tests start faster.

hypothesis.settings.register_profile("untimed", deadline=None)  # the machine may be busy
hypothesis.settings.register_profile("quick", deadline=None, max_examples=10)
hypothesis.settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Exclude the collected tests from garbage collections, which would take half a second each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """Fail the test if it connects beyond loopback, even if the tested code catches the error."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        patch.setattr(socket, "getaddrinfo", _guarded_look_up(socket.getaddrinfo))
        yield


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, *arguments: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse_unless_loopback(arguments[-1][0])
        return method(self, *arguments)

    return guarded


def _guarded_look_up(look_up: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(host: Any, *arguments: Any, **options: Any) -> Any:
        try:
            ipaddress.ip_address(host or "127.0.0.1")  # literal addresses need no lookup
        except ValueError:
            _refuse_unless_loopback(host)
        return look_up(host, *arguments, **options)

    return guarded


def _refuse_unless_loopback(host: Any) -> None:
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        is_loopback = ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        is_loopback = text in ("localhost", "")
    if not is_loopback:
        pytest.fail(f"a test tried to reach {text}")


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """The Valkey server that the tests of this worker share."""
    server = servers.start_valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()


@pytest.fixture
def redis_url(valkey_server: servers.Server) -> str:
    """The URL of an empty Valkey."""
    import redis

    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    return valkey_server.url


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """The PostgreSQL server that the tests of this worker share."""
    server = servers.start_postgres(tmp_path_factory.mktemp("postgres"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def engines() -> Iterator[dict[str, Engine]]:
    """The migrated databases of this session, by URL."""
    made: dict[str, Engine] = {}
    yield made
    for engine in made.values():
        engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database, SQLite or PostgreSQL; ``database`` creates the tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.getbasetemp() / 'test.db'}"
    server: servers.Server = request.getfixturevalue("postgres_server")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    url = make_url(setting_types.database_url(server.url)).set(database=f"mailwatch_test_{worker}")
    return url.render_as_string(hide_password=False)


@pytest.fixture
def settings(request: pytest.FixtureRequest, database_url: str) -> Settings:
    """Settings for the current database; Redis is available to tests that use ``redis_url``."""
    wants_redis = "redis_url" in request.fixturenames
    return Settings(
        secret_key="k" * 40,
        allowed_hosts=("watch.test",),
        database_url=database_url,
        redis_url=request.getfixturevalue("redis_url") if wants_redis else NO_REDIS,
        allow_special_use_names=True,
        domain_verification="off",
        key_cache_seconds=0.05,
        account_rate_limit="1000000 per minute",
        dashboard_rate_limit="1000000 per minute",
        dashboard_anonymous_rate_limit="1000000 per minute",
    )


@pytest.fixture
def database(
    request: pytest.FixtureRequest, settings: Settings, engines: dict[str, Engine]
) -> Iterator[Engine]:
    """The engine of this process with ``settings`` and empty tables."""
    from tests.support import databases

    url = settings.database_url
    if url not in engines:
        if not url.startswith("sqlite"):
            databases.create(request.getfixturevalue("postgres_server").url, url)
        databases.migrate(url)
        engines[url] = db_engine.connect(url)
    databases.use(engines[url], settings)
    yield engines[url]
    databases.empty(engines[url])


@pytest.fixture
def zone() -> Zone:
    """The DNS that the application sees; a test may replace its data."""
    return Zone({"acme.test": ["v=spf1 ip4:192.0.2.1 -all"]})


@pytest.fixture
def app(database: Engine, settings: Settings, zone: Zone) -> "Flask":
    """The complete application on this test's database."""
    from tests.support.factories import make_app

    return make_app(database, settings, zone)

"""The service as processes, and a Chromium that can reach only the service."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from sqlalchemy.engine import Engine

from app import settings as app_settings
from app.jobs import queue
from app.settings import Settings
from tests.e2e.browser import OPTIONS, SECONDS, Person, open_person
from tests.e2e.service import SECRET, Running, Service
from tests.support.receivers import LOOPBACK, Receiver, receiving
from tests.support.servers import start_valkey


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """The service for each database with its own persistent Valkey."""
    started: Running = {}
    yield started
    for service, redis in started.values():
        service.__exit__()
        redis.stop()


@pytest.fixture(scope="module")
def receivers(tmp_path_factory: Any) -> Iterator[tuple[Receiver, Receiver]]:
    """Two receivers of webhooks, of the same authority."""
    directory = tmp_path_factory.mktemp("receivers")
    with receiving(directory) as flaky, receiving(directory) as healthy:
        yield flaky, healthy


@pytest.fixture
def service(
    database: Engine,
    settings: Settings,
    running: Running,
    receivers: tuple[Receiver, Receiver],
    tmp_path_factory: Any,
) -> Service:
    """The service on this test's database, shared by the tests of a file."""
    url = settings.database_url
    if url not in running:
        directory: Path = tmp_path_factory.mktemp("service")
        (directory / "valkey").mkdir()
        redis = start_valkey(directory / "valkey", persistent=True)
        started = Service(directory, url, redis.url, domains=20, receivers=receivers)
        running[url] = (started.__enter__(), redis)
    service, redis = running[url]
    app_settings.use(
        settings.replace(
            secret_key=SECRET,
            redis_url=redis.url,
            egress_allow_cidrs=LOOPBACK,
            egress_ports=tuple(receiver.port for receiver in receivers),
        )
    )
    queue.bind(redis.url)
    return service


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One Chromium for the tests of a file; they are skipped where there is none.

    It goes with the file, because its event loop would conflict with async tests of other files.
    """
    path = (
        os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    )
    if path is None:
        pytest.skip("Chromium is missing: `apt-get install chromium`, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        expect.set_options(timeout=SECONDS * 1000)
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def ann(chromium: Browser, service: Service) -> Iterator[Person]:
    """A user who has signed in."""
    person = open_person(chromium, service)
    person.sign_in()
    yield person
    person.context.close()

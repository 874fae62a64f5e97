"""What one process counts is in the scrape of another one, through Redis."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy.engine import Engine

from app.jobs import queue
from app.metrics import increments
from app.metrics.definitions import DELIVERIES, SCANS
from app.settings import Settings
from tests.support.factories import make_account, make_domain, make_scan
from tests.support.paths import ROOT
from tests.support.servers import NO_REDIS, Server, start_valkey
from tests.support.service_processes import running, wait_until

SENT = ("deliveries", "sent")


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Server]:
    """A Valkey of this test, which it may stop."""
    server = start_valkey(tmp_path / "valkey")
    increments.bind(server.url)
    increments.flush()  # what earlier tests have counted
    with Redis.from_url(server.url) as client:
        client.flushall()
    yield server
    server.stop()
    increments.bind(NO_REDIS)


def total(*series: str) -> float:
    totals = increments.totals()
    assert totals is not None
    return totals.get(series, 0)


@pytest.mark.usefixtures("valkey")
def test_a_forked_process_adds_only_what_it_counted_itself() -> None:
    DELIVERIES.add("sent", amount=5)
    pid = os.fork()
    if pid == 0:
        DELIVERIES.add("sent", amount=2)
        increments.flush()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert total(*SENT) == 7


@pytest.mark.usefixtures("valkey")
def test_threads_lose_no_increment() -> None:
    def count() -> None:
        for _ in range(2_000):
            DELIVERIES.add("sent")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        increments.flush()
    assert total(*SENT) == 8_000


def test_increments_wait_for_redis_and_are_added_once(valkey: Server) -> None:
    valkey.kill()
    DELIVERIES.add("sent", amount=3)
    increments.flush()
    assert increments.totals() is None
    valkey.restart()
    increments.flush()
    increments.flush()
    assert total(*SENT) == 3


def test_totals_begin_at_zero_after_a_restart_of_redis(valkey: Server) -> None:
    # A restarted server may have lost the last second. A total that falls from 1000 to 998 would
    # count as a reset, and 998 as an increase.
    DELIVERIES.add("sent", amount=1_000)
    assert total(*SENT) == 1_000
    valkey.kill()
    valkey.restart()
    DELIVERIES.add("sent", amount=1)
    assert total(*SENT) == 1


@pytest.mark.usefixtures("valkey")
def test_number_of_series_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(increments, "MAX_SERIES", 2)
    for status in ("completed", "failed", "cancelled", "completed"):
        SCANS.add(status)
    assert (total("scans", "completed"), total("scans", "failed")) == (2, 1)
    assert total("scans", "cancelled") == 0


def test_a_process_that_counts_nothing_has_no_thread(valkey: Server) -> None:
    script = (
        "import threading\n"
        "from app.metrics import increments\n"
        "from app.metrics.definitions import SCANS\n"
        f"increments.bind({valkey.url!r})\n"
        "increments.flush()\n"
        "print(threading.active_count())\n"
        "SCANS.add('failed')\n"
        "print(threading.active_count())\n"
    )
    assert run_python(script) == "1\n2\n"
    assert total("scans", "failed") == 1  # stored at the exit of the process


def run_python(script: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_scans_of_a_worker_are_in_the_scrape_of_the_web_process(
    database: Engine, settings: Settings, redis_url: str, tmp_path: Path
) -> None:
    increments.bind(redis_url)
    queue.bind(redis_url)
    before = (total("scans", "completed"), total("dns_queries", "resolver", "network"))
    account_id = make_account().id
    make_scan(account_id, make_domain(account_id, "acme.test").name)
    options = {"DATABASE_URL": settings.database_url, "DNS_NAMESERVERS": "127.0.0.1:1"}
    with (
        running("worker scans", redis_url, tmp_path, **options),
        running("worker.clock", redis_url, tmp_path, **options),
    ):
        wait_until(lambda: total("scans", "completed") == before[0] + 1)
        wait_until(lambda: min((queue.seen_at() or {}).get(n, 0) for n in ("scans", "clock")) > 0)
    assert total("dns_queries", "resolver", "network") > before[1]
    assert (queue.seen_at() or {})["ingest"] == 0

"""Redis over TLS with a certificate that the system does not trust, as platforms use it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from app.jobs import queue
from app.limits.shared_counters import SharedCounters
from app.settings import InvalidSettings, Settings
from tests.support.paths import ROOT
from tests.support.tls_proxy import TlsProxy, tls_proxy

HELP = "Set REDIS_CA_FILE to a file with its certificate authority, or REDIS_TLS_VERIFY=off."
SECONDS = 30


@pytest.fixture
def proxy(redis_url: str, tmp_path: Path) -> Iterator[TlsProxy]:
    port = urlsplit(redis_url).port
    assert port is not None
    with tls_proxy(tmp_path, port) as running:
        yield running


def variables(proxy: TlsProxy, **others: str) -> dict[str, str]:
    """Return the variables of a process that uses the proxy as its Redis."""
    return {
        "PATH": os.environ["PATH"],
        "SECRET_KEY": "k" * 40,
        "DATABASE_URL": f"sqlite:///{proxy.ca_file.parent / 'tls.db'}",
        "REDIS_URL": f"rediss://localhost:{proxy.port}/0",
        **others,
    }


def trusting(proxy: TlsProxy, mode: str) -> dict[str, str]:
    """Return the settings with which the certificate is accepted."""
    return {"ca_file": {"REDIS_CA_FILE": str(proxy.ca_file)}, "off": {"REDIS_TLS_VERIFY": "off"}}[
        mode
    ]


def client_url(proxy: TlsProxy, monkeypatch: pytest.MonkeyPatch, **others: str) -> str:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, text in variables(proxy, **others).items():
        monkeypatch.setenv(name, text)
    return Settings.load().redis_client_url


@contextmanager
def running(module: str, environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """Run a process of the service until the end of the block."""
    command = [sys.executable, "-m", *module.split()]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS)


@pytest.mark.parametrize("mode", ["ca_file", "off"])
def test_queue_and_counters_use_the_settings_for_tls(
    proxy: TlsProxy, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = client_url(proxy, monkeypatch, **trusting(proxy, mode))
    queue.bind(url)
    assert queue.enqueue_scans([UUID(int=1)])
    assert queue.length(queue.SCANS) == 1
    counters = SharedCounters(url, "a test")
    assert counters.run(counters.script("return redis.call('INCR', KEYS[1])"), "count") == 1


@pytest.mark.parametrize("mode", ["ca_file", "off"])
def test_worker_takes_jobs_over_tls(
    proxy: TlsProxy, mode: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.bind(redis_url)
    assert queue.enqueue_scans([UUID(int=1)])
    deadline = time.monotonic() + SECONDS
    with running("worker scans", variables(proxy, **trusting(proxy, mode))):
        while not queue.is_idle(queue.SCANS):
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize("process", ["worker scans", "worker.clock"])
def test_process_names_the_settings_when_it_starts_with_an_untrusted_certificate(
    proxy: TlsProxy, process: str
) -> None:
    with running(process, variables(proxy)) as started:
        assert started.stdout is not None
        lines = (json.loads(line) for line in started.stdout)
        line = next(line for line in lines if line["message"] == "Redis unavailable")
    assert line["reason"].endswith(HELP)


def test_options_of_the_url_are_kept(proxy: TlsProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"rediss://user:p%40ss@localhost:{proxy.port}/3?health_check_interval=5"
    merged = client_url(proxy, monkeypatch, REDIS_URL=url, REDIS_TLS_VERIFY="off")
    assert merged == f"{url}&ssl_cert_reqs=none"


@pytest.mark.parametrize("url", ["redis://localhost:6379/0", "unix:///run/valkey.sock"])
def test_settings_for_tls_do_not_change_other_urls(
    proxy: TlsProxy, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client_url(proxy, monkeypatch, REDIS_URL=url, REDIS_TLS_VERIFY="off") == url


def test_missing_file_of_authorities_is_refused(
    proxy: TlsProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidSettings, match=r"REDIS_CA_FILE must be the path of a file\."):
        client_url(proxy, monkeypatch, REDIS_CA_FILE="/nowhere/ca.pem")

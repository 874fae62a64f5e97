"""The whole service as processes: gunicorn, worker, clock, and the name server of the demo."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from demo.fault_injection import Behavior, Slow
from demo.nameserver import NameServer
from devtools.processes import end_with_parent, free_port
from tests.support.paths import ROOT
from tests.support.receivers import Receiver
from tests.support.servers import Server

SECRET = "e" * 40
METRICS_TOKEN = "the-metrics-token"
COMMANDS = {
    "web": ["gunicorn", "-c", "gunicorn.conf.py"],
    "worker": ["worker"],
    "clock": ["worker.clock"],
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to one request."""

    status: int
    headers: Any  # as a mapping of names in any case
    json: Any


class Service:
    """The processes, which share a database, a Redis and a name server.

    directory  for logs and zone files
    receivers  of webhooks, which it may call
    domains    how many domains ``d0.test`` … there are; each answer about them is a little late
    settings   further settings, by the names of their variables
    """

    def __init__(
        self,
        directory: Path,
        database_url: str,
        redis_url: str,
        *,
        domains: int = 10,
        receivers: Sequence[Receiver] = (),
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.directory = directory
        self.port = free_port(0)
        self.names = [f"d{number}.test" for number in range(domains)]
        zones = directory / "zones"
        zones.mkdir()
        _write_zones(zones, self.names)
        self.dns = NameServer(zones, Behavior(faults={"test": Slow(0.02)}))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._settings = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SECRET_KEY": SECRET,
            "ALLOW_SPECIAL_USE_NAMES": "on",
            "DOMAIN_VERIFICATION": "off",
            "DNS_QUERY_SECONDS": "15",  # a slow machine must not cause timeouts
            "SCAN_LEASE_SECONDS": "3",
            "SCAN_REQUEUE_SECONDS": "3",
            "INGEST_LEASE_SECONDS": "3",
            "INGEST_RATE_LIMIT": "1000000 per minute",
            "ACCOUNT_RATE_LIMIT": "1000000 per minute",
            "INGEST_SOURCE_RATE_LIMIT": "1000000 per minute",
            "REQUEUE_INTERVAL_SECONDS": "1",
            "SCAN_CHUNK": "20",
            "PORT": str(self.port),
            "BIND": "127.0.0.1",
            "LOG_LEVEL": "warning",
            "METRICS_TOKEN": METRICS_TOKEN,
            "METRICS_DOMAINS": "10",
        }
        self._settings |= dict(settings) | (_reaching(receivers) if receivers else {})

    def __enter__(self) -> "Service":
        self.dns.start()
        self._settings["DNS_NAMESERVERS"] = f"127.0.0.1:{self.dns.port}"
        for name in COMMANDS:
            self.start(name)
        try:
            wait_for(lambda: self.call("GET", "/readyz").status == 200, "the web process")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
        left = [pid for process in self._processes.values() for pid in _tree(process.pid)]
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.dns.stop()

    def start(self, name: str) -> None:
        """Start one of the processes of the Procfile; its output goes to a file."""
        self.start_instance(name)

    def start_instance(self, name: str, **variables: str) -> None:
        """Start a process like ``web``, or another one of it like ``web-2``.

        variables  settings of this process only
        """
        with (self.directory / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", *COMMANDS[name.partition("-")[0]]],
                cwd=ROOT,
                env={**os.environ, **self._settings, **variables},
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,  # nothing outlives tests that are killed
            )

    def stop_instance(self, name: str) -> None:
        """Stop the process as a platform does, and wait until it has ended."""
        self._processes[name].terminate()
        self._processes[name].wait(60)

    def restart(self, name: str, **variables: str) -> None:
        """Start the process again with these settings."""
        self._settings |= variables
        self._processes[name].terminate()
        self._processes[name].wait(60)
        self.start(name)
        wait_for(lambda: self.call("GET", "/readyz").status == 200, "the web process")

    def kill_below(self, name: str) -> int:
        """Kill all descendants of the process; return their number."""
        pids = _tree(self._processes[name].pid)[1:]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(pids)

    def call(
        self, method: str, path: str, token: str = "", body: Any = None, *, port: int | None = None
    ) -> Answer:
        """Send one request; the status is 0 if there is no response.

        port  of another web process
        """
        url = f"http://127.0.0.1:{port or self.port}{path}"
        request = urllib.request.Request(url, method=method)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        if isinstance(body, bytes):
            request.data = body
            request.add_header("Content-Type", "application/octet-stream")
        elif body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return Answer(response.status, response.headers, _json(response.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, _json(error.read()))
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError):
            return Answer(0, {}, None)

    def log(self, name: str) -> str:
        """The output of the process."""
        return (self.directory / f"{name}.log").read_text()


def wait_for(condition: Callable[[], bool], description: str, seconds: float = 90) -> None:
    """Wait until the condition holds; raises AssertionError with the description otherwise."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {description}")
        time.sleep(0.1)


def _reaching(receivers: Sequence[Receiver]) -> dict[str, str]:
    """Settings with which webhooks go to receivers on this machine, and are retried soon."""
    return {
        "EGRESS_ALLOW_CIDRS": "127.0.0.0/8",
        "EGRESS_PORTS": ",".join(str(receiver.port) for receiver in receivers),
        "SSL_CERT_FILE": str(receivers[0].ca_file),
        "DELIVERY_SCHEDULE": ",".join(["0"] + ["0.2"] * 40),
        "DELIVERY_SECONDS": "1",
    }


def _json(raw: bytes) -> Any:
    return json.loads(raw) if raw else None


def _tree(pid: int) -> list[int]:
    """The process and its descendants, if it runs."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        pids = [int(text) for text in children.read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(below for child in pids for below in _tree(child))]


def _write_zones(directory: Path, names: list[str]) -> None:
    """Write a zone for each name, and the parent zone with their name servers and their MX."""
    head = "$ORIGIN {}.\n$TTL 300\n@ IN SOA ns1.test. hostmaster.test. 1 3600 600 86400 300\n"
    servers = "@ IN NS ns1.test.\n@ IN NS ns2.test.\n"
    hosts = "ns1 IN A 198.51.100.1\nns2 IN A 198.51.100.2\nmx IN A 198.51.100.3\n"
    cuts = "".join(f"{name}. IN NS ns1.test.\n{name}. IN NS ns2.test.\n" for name in names)
    cuts += "hooks.receiver IN A 127.0.0.1\n"
    (directory / "test.zone").write_text(head.format("test") + servers + hosts + cuts)
    records = (
        '@ IN MX 10 mx.test.\n@ IN TXT "v=spf1 mx -all"\n@ IN TXT "v=spf1 -all"\n'
        '_dmarc IN TXT "v=DMARC1; p=none; rua=mailto:d@{}"\n'
    )
    for name in names:
        text = head.format(name) + servers + records.format(name)
        (directory / f"{name}.zone").write_text(text)


Running = dict[str, tuple[Service, Server]]

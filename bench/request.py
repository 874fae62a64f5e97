"""Requests per second compared with a bare Flask application, alternately in the same gunicorn.

    ./dev bench request [--rounds 5] [--seconds 4]

Two workers with threads and eight persistent connections; the rate limiter and key check are on,
with a real Valkey and PostgreSQL. All rates include the cost of the client. CPU time is that of the
workers only, and is more reliable than rates on a shared machine.
"""

import argparse
import multiprocessing
import os
import selectors
import socket
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app import runtime
from app.models.keys import Scope
from app.services.accounts import accounts
from app.services.api_keys import api_keys
from app.services.domains import domains
from bench import backends
from devtools.processes import free_port

CONNECTIONS = 8
DOMAINS = 60
ACTOR = "cli:bench"
FAST = "100000000 per minute"
TARGETS = {"/v1/me": 0.35, "/v1/domains?limit=50": 0.18}  # of the rate of the baseline
MAX_TAIL = 4  # p99 as a multiple of p50


@dataclass(slots=True)
class Sample:
    """The result of one run: requests per second, sorted durations, CPU seconds of the workers."""

    rate: float
    seconds: Sequence[float] = field(default_factory=list)
    cpu_seconds: float = 0.0

    def at(self, share: float) -> float:
        """The duration quantile for this share of the requests."""
        return self.seconds[min(int(len(self.seconds) * share), len(self.seconds) - 1)]


@dataclass(frozen=True, slots=True)
class Server:
    """A gunicorn server and its port."""

    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """The CPU seconds of the workers so far."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        stats = [Path(f"/proc/{child}/stat").read_text().rpartition(")")[2] for child in children]
        ticks = sum(int(value) for stat in stats for value in stat.split()[11:13])
        return ticks / os.sysconf("SC_CLK_TCK")


def load(server: Server, path: str, token: str, seconds: float) -> Sample:
    """Request one path over all connections concurrently, in a separate process."""
    ours, theirs = multiprocessing.Pipe()
    arguments = (theirs, server.port, path, token, seconds)
    process = multiprocessing.Process(target=_load, args=arguments)
    before = server.cpu_seconds()
    process.start()
    sample: Sample = ours.recv()
    process.join()
    sample.cpu_seconds = server.cpu_seconds() - before
    return sample


def _load(
    pipe: "multiprocessing.connection.Connection",
    port: int,
    path: str,
    token: str,
    seconds: float,
) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    request = head.encode()
    selector = selectors.DefaultSelector()
    sent: dict[socket.socket, float] = {}
    buffers: dict[socket.socket, bytearray] = {}
    for _ in range(CONNECTIONS):
        connection = socket.create_connection(("127.0.0.1", port))
        selector.register(connection, selectors.EVENT_READ)
        sent[connection], buffers[connection] = time.perf_counter(), bytearray()
        connection.sendall(request)
    started, took = time.perf_counter(), list[float]()
    while time.perf_counter() - started < seconds:
        for key, _ in selector.select(1):
            connection = key.fileobj  # type: ignore[assignment]  # what was registered
            buffers[connection] += connection.recv(65536)
            if not _is_whole(buffers[connection]):
                continue
            now = time.perf_counter()
            took.append(now - sent[connection])
            sent[connection] = now
            buffers[connection].clear()
            connection.sendall(request)
    pipe.send(Sample(len(took) / (time.perf_counter() - started), sorted(took)))


def _is_whole(response: bytearray) -> bool:
    head, behind, body = response.partition(b"\r\n\r\n")
    if not behind:
        return False
    if not head.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(head.decode("latin1"))
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return len(body) == int(length)


@contextmanager
def _gunicorn(application: str, variables: dict[str, str]) -> Iterator[Server]:
    port = free_port(0)
    settings = {"PORT": str(port), "BIND": "127.0.0.1", "WEB_CONCURRENCY": "2", **variables}
    arguments = ("-c", "gunicorn.conf.py", "--log-level", "warning", application)
    with backends.process("gunicorn", settings, *arguments) as pid:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
                break
            except urllib.error.HTTPError:
                break  # it answers
            except OSError:
                time.sleep(0.05)
        yield Server(pid, port)


def _token(variables: dict[str, str]) -> str:
    """The token of a key that may read an account with domains."""
    runtime.start(backends.settings_of(variables))
    account_id = accounts.create("bench").id
    for number in range(DOMAINS):
        domains.create(account_id, domains.NewDomain(f"d{number}.example"), actor=ACTOR)
    return api_keys.issue(account_id, api_keys.NewKey("bench", tuple(Scope)), actor=ACTOR)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="duration of each run")
    options = parser.parse_args()
    with backends.valkey() as redis_url, backends.database("postgresql") as database_url:
        variables = backends.variables(
            database_url, redis_url, RATE_LIMIT=FAST, ACCOUNT_RATE_LIMIT=FAST, LOG_LEVEL="warning"
        )
        token = _token(variables)
        with (
            _gunicorn("bench.hello:app", variables) as floor,
            _gunicorn("wsgi:app", variables) as ours,
        ):
            _measure(floor, ours, token, options.rounds, options.seconds)


def _measure(floor: Server, ours: Server, token: str, rounds: int, seconds: float) -> None:
    ways = [("/", floor), *((path, ours) for path in TARGETS)]
    samples: dict[str, list[Sample]] = {path: [] for path, _ in ways}
    for path, server in ways:
        load(server, path, token, 1.0)
    for _ in range(rounds):
        for path, server in ways:
            samples[path].append(load(server, path, token, seconds))
    bare = statistics.median(sample.rate for sample in samples["/"])
    print(f"\n{CONNECTIONS} connections, medians of {rounds} alternate rounds")
    print(f"  {'Flask, hello':24} {bare:8.0f} requests/s, {_cpu(samples['/'])}")
    for path, target in TARGETS.items():
        rate = statistics.median(sample.rate for sample in samples[path])
        median = statistics.median(sample.at(0.5) for sample in samples[path])
        tail = statistics.median(sample.at(0.99) for sample in samples[path])
        print(
            f"  GET {path:20} {rate:8.0f} requests/s, {rate / bare:.2f} of Flask (target {target}),"
            f" {_cpu(samples[path])}, p50 {median * 1000:.1f} ms,"
            f" p99 {tail / median:.1f} × p50 (target {MAX_TAIL})"
        )


def _cpu(samples: Sequence[Sample]) -> str:
    spent = statistics.median(sample.cpu_seconds / len(sample.seconds) for sample in samples)
    return f"{spent * 1_000_000:.0f} µs CPU"


if __name__ == "__main__":
    main()

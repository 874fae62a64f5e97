"""Our scans compared with checkdmarc: the same domains and name server, alternately.

    ./dev bench scan [--rounds 3] [--domains 1000] [--delay 0 --delay 0.02]

Ours is ``run_checks`` with all checks, and with only those that checkdmarc has too, in one process,
64 domains at a time. checkdmarc has a separate environment, created on first use.
"""

import argparse
import asyncio
import json
import selectors
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.checks import CHECKS
from app.checks.engine.runner import ScanResult, Stream, run_checks, stream_checks
from app.checks.engine.types import Check, Subject, Verdict
from app.network.session import LiveNetwork
from app.ports.dns import Answer, LookupFailed
from app.ports.http import Page, Request
from app.ports.network import NetworkSession, SessionFactory
from app.protocols.names import DomainName
from app.settings import Settings
from bench import answerer, backends, peers
from devtools import ROOT

CONCURRENCY = 64  # the default of SCAN_CONCURRENCY
THREADS = 64
SERIAL, THREADED = 10, 96  # domains for checkdmarc, which is slow
SHARED = ("dns", "dnssec", "mx", "spf", "dmarc", "mta_sts", "tls_rpt", "bimi")
LONG = 600.0

Measure = Callable[[answerer.Server], "Sample"]


@dataclass(frozen=True, slots=True)
class Sample:
    """The duration of one run."""

    domains: int
    wall: float
    cpu: float
    queries: int

    @property
    def rate(self) -> float:
        """Domains per second."""
        return self.domains / self.wall


class Numbers:
    """The domains of one server; each is used only once, so that it is never cached."""

    def __init__(self) -> None:
        self.used = 0

    def take(self, count: int) -> range:
        """The next unused domains."""
        self.used += count
        return range(self.used - count, self.used)


def ours(server: answerer.Server, numbers: range, checks: Sequence[Check]) -> Sample:
    """Scan all of these domains in this process."""
    subjects = {number: _subject(number) for number in numbers}

    async def check_result(_: int, result: ScanResult) -> None:
        _expect_determined(result)

    async def main(open_session: SessionFactory) -> None:
        await stream_checks(
            Stream(subjects, check_result),
            open_session,
            concurrency=CONCURRENCY,
            seconds=LONG,
            checks=checks,
        )

    before, wall, cpu = server.count, time.perf_counter(), time.process_time()
    network(server).run(main)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Sample(domains=len(numbers), wall=wall, cpu=cpu, queries=server.count - before)


def checkdmarc(server: answerer.Server, numbers: range, threads: int) -> Sample:
    """Run checkdmarc on these domains; the first one is for warming up."""
    script = str(ROOT / "bench" / "peer_checkdmarc.py")
    words = (server.port, threads, numbers.start, numbers.stop - 1)
    before = server.count
    run = subprocess.run(
        [str(peers.PYTHON), script, *map(str, words)], check=True, stdout=subprocess.PIPE, text=True
    )
    result, count = json.loads(run.stdout), len(numbers) - 1
    queries = round((server.count - before) * count / (count + 1))
    return Sample(domains=count, wall=result["wall"], cpu=result["cpu"], queries=queries)


def one_scan(server: answerer.Server, numbers: range, checks: Sequence[Check]) -> list[float]:
    """The seconds of each scan when run alone."""

    async def main(open_session: SessionFactory) -> list[float]:
        durations = []
        for number in numbers:
            started = time.perf_counter()
            await run_checks(
                {number: _subject(number)},
                open_session,
                concurrency=1,
                seconds=LONG,
                checks=checks,
            )
            durations.append(time.perf_counter() - started)
        return durations

    return network(server).run(main)


def network(server: answerer.Server) -> LiveNetwork:
    """Our network access with this server as ``DNS_NAMESERVERS``."""
    return LiveNetwork(
        Settings(
            secret_key=backends.SECRET,
            database_url="sqlite:////tmp/unused.db",  # scans without a queue store nothing
            redis_url=backends.NO_REDIS,
            dns_nameservers=(("127.0.0.1", server.port),),
            dns_query_seconds=30,
            check_authoritative_servers=False,  # their addresses belong to others
        )
    )


def _subject(number: int) -> Subject:
    return Subject(DomainName(answerer.domain(number)), dkim_selectors=answerer.SELECTORS)


def _expect_determined(scan_result: ScanResult) -> None:
    for check_result in scan_result.check_results:
        if check_result.verdict is Verdict.UNDETERMINED:
            sys.exit(f"{check_result.check} is undetermined: {check_result.reason}")


class _RecordingSession(NetworkSession):
    """A network session that records all answers."""

    def __init__(self, session: NetworkSession) -> None:
        self._session = session
        self.answers: dict[tuple[str, str, bool], Answer] = {}

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        answer = await self._session.resolve(name, rdtype, checking_disabled=checking_disabled)
        self.answers[name, rdtype, checking_disabled] = answer
        return answer

    async def fetch(self, host: str, path: str, request: Request | None = None) -> Page:
        raise LookupFailed(host, "HTTPS", "network")


class _ReplayingSession(_RecordingSession):
    """A network session that replays answers, each of which takes one second when first queried."""

    def __init__(self, recorded: _RecordingSession) -> None:
        super().__init__(recorded)
        self.answers = recorded.answers
        self._pending: dict[tuple[str, str, bool], asyncio.Task[None]] = {}

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        key = (name, rdtype, checking_disabled)
        await self._query(key)
        return self.answers[key]

    def prefetch(self, *questions: tuple[str, str]) -> None:
        for name, rdtype in questions:
            self._query((name, rdtype, False))

    def _query(self, key: tuple[str, str, bool]) -> "asyncio.Task[None]":
        if key not in self._pending:
            self._pending[key] = asyncio.create_task(asyncio.sleep(1))
        return self._pending[key]


class _VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that does not wait: its clock advances to the next timer."""

    def __init__(self) -> None:
        super().__init__(_NonBlockingSelector(self))
        self.now = 0.0

    def time(self) -> float:
        return self.now


class _NonBlockingSelector(selectors.SelectSelector):
    def __init__(self, loop: _VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.now += timeout or 0.0
        return super().select(0)


def depth(server: answerer.Server, number: int, checks: Sequence[Check]) -> int:
    """The minimum number of consecutive round trips in a scan."""
    subject = {number: _subject(number)}

    async def record(open_session: SessionFactory) -> _RecordingSession:
        session = _RecordingSession(open_session())
        await run_checks(subject, lambda: session, concurrency=1, seconds=LONG, checks=checks)
        return session

    recorded = network(server).run(record)

    async def replay() -> int:
        session = _ReplayingSession(recorded)
        await run_checks(subject, lambda: session, concurrency=1, seconds=LONG, checks=checks)
        return round(asyncio.get_running_loop().time())

    with asyncio.Runner(loop_factory=_VirtualTimeLoop) as runner:
        return runner.run(replay())


def measure(delay: float, domains: int, rounds: int) -> None:
    """Measure everything with one delay and print the results."""
    shared = [check for check in CHECKS if check.name in SHARED]
    numbers = Numbers()
    ways: dict[str, Measure] = {
        "ours, the same questions": lambda s: ours(s, numbers.take(domains), shared),
        "ours, every check": lambda s: ours(s, numbers.take(domains), CHECKS),
        "checkdmarc, one by one": lambda s: checkdmarc(s, numbers.take(SERIAL + 1), 1),
        f"checkdmarc, {THREADS} threads": lambda s: checkdmarc(
            s, numbers.take(THREADED + 1), THREADS
        ),
    }
    total = 100 + rounds * (2 * domains + SERIAL + THREADED + 2)
    with answerer.answering(total, delay) as server:
        ours(server, numbers.take(20), CHECKS)  # warm up
        samples: dict[str, list[Sample]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, run in ways.items():
                samples[name].append(run(server))
        print(f"\n{delay * 1000:g} ms added to each answer; medians of {rounds} alternate rounds")
        rates = [_printed(name, of) for name, of in samples.items()]
        _print_ratios("the same questions", rates[0], rates, delay)
        _print_ratios("every check", rates[1], rates, delay)
        if delay:
            for name, checks in (("the same questions", shared), ("every check", CHECKS)):
                deep = depth(server, numbers.take(1)[0], checks)
                alone = statistics.median(one_scan(server, numbers.take(15), checks))
                _print_alone(name, deep, delay, alone)


def _printed(name: str, samples: Sequence[Sample]) -> float:
    """Print and return the median rate."""
    rate = statistics.median(sample.rate for sample in samples)
    cpu = statistics.median(sample.cpu / sample.queries for sample in samples)
    queries = statistics.median(sample.queries / sample.domains for sample in samples)
    print(
        f"  {name:26} {rate:8.1f} domains/s {queries:6.1f} queries a domain"
        f" {cpu * 1e6:8.0f} µs CPU a query {cpu * queries * 1e3:8.2f} ms a domain"
    )
    return rate


def _print_ratios(name: str, rate: float, rates: Sequence[float], delay: float) -> None:
    serial, threaded = rate / rates[2], rate / rates[3]
    targets = ("(target 150, then 400)", "(target 10, then 20)") if delay else ("", "")
    print(
        f"  ours, {name}: {serial:.0f} × checkdmarc, sequential {targets[0]},"
        f" {threaded:.0f} × checkdmarc with threads {targets[1]}"
    )


def _print_alone(name: str, deep: int, delay: float, seconds: float) -> None:
    limit = 1.2 * deep * delay + 0.015
    print(
        f"  one scan alone, {name}: {seconds * 1000:.1f} ms, {deep} consecutive answers;"
        f" the target of {limit * 1000:.0f} ms is {'met' if seconds <= limit else 'missed'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--domains", type=int, default=1000, help="domains for mailwatch in each round"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay", type=float, action="append", help="seconds before an answer")
    options = parser.parse_args()
    peers.prepare()
    for delay in options.delay or (0.0, 0.02):
        measure(delay, options.domains, options.rounds)


if __name__ == "__main__":
    main()

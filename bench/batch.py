"""Scans through the queue compared with the engine alone, alternately on the same zone.

    ./dev bench batch [--rounds 3] [--domains 1000] [--delay 0.02]

The engine alone is ``run_checks`` with all checks in one process. Through the queue, a client calls
``trigger_many`` and waits until one worker has stored the last result, on SQLite and PostgreSQL.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from uuid import UUID

from redis import Redis
from rq import Worker

from app import runtime
from app.checks import CHECKS
from app.jobs import queue
from app.services.accounts import accounts
from app.services.domains import domains
from app.services.scans import batches
from app.services.scans.batches import Selection
from bench import answerer, backends, scan

ACTOR = "cli:bench"
TARGET = 0.6


def through(
    stack: ExitStack, server: answerer.Server, kind: str, numbers: range
) -> Callable[[], float]:
    """A function that measures domains per second from the request to the last stored result."""
    redis_url = stack.enter_context(backends.valkey())
    database_url = stack.enter_context(backends.database(kind))
    variables = backends.variables(
        database_url,
        redis_url,
        DNS_NAMESERVERS=f"127.0.0.1:{server.port}",
        CHECK_AUTHORITATIVE_SERVERS="off",  # their addresses belong to others
    )
    chosen = backends.settings_of(variables)
    runtime.start(chosen)
    stack.enter_context(backends.process("worker", variables, queue.SCANS))
    account_id = accounts.create("bench").id
    for number in numbers:
        domains.create(account_id, _new_domain(number), actor=ACTOR)
    _await_worker(redis_url)

    def rate() -> float:
        runtime.start(chosen)
        return len(numbers) / _seconds(account_id)

    return rate


def _new_domain(number: int) -> domains.NewDomain:
    """A domain with configured selectors, so that its scan makes the same queries as the engine."""
    return domains.NewDomain(answerer.domain(number), dkim_selectors=answerer.SELECTORS)


def _await_worker(redis_url: str) -> None:
    with Redis.from_url(redis_url) as connection:
        while not Worker.all(connection=connection):
            time.sleep(0.05)


def _seconds(account_id: UUID) -> float:
    started = time.perf_counter()
    batch = batches.trigger(account_id, Selection(all=True), actor=ACTOR)
    while batch.finished_at is None:
        time.sleep(0.05)
        batch = batches.find(account_id, batch.id)
    if set(batch.counts) != {"completed"}:
        raise SystemExit(f"not every scan was completed: {dict(batch.counts)}")
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domains", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay", type=float, default=0.02, help="seconds before an answer")
    options = parser.parse_args()
    numbers = scan.Numbers()
    total = 20 + options.domains * (options.rounds + 1)
    with answerer.answering(total, options.delay) as server:
        scan.ours(server, numbers.take(20), CHECKS)  # warm up
        same = numbers.take(options.domains)
        with ExitStack() as stack:
            ways = {kind: through(stack, server, kind, same) for kind in ("sqlite", "postgresql")}
            alone = []
            rates: dict[str, list[float]] = {kind: [] for kind in ways}
            for _ in range(options.rounds):
                alone.append(scan.ours(server, numbers.take(options.domains), CHECKS).rate)
                for kind, measure in ways.items():
                    rates[kind].append(measure())
    _print(options.domains, options.delay, statistics.median(alone), rates)


def _print(count: int, delay: float, alone: float, rates: Mapping[str, Sequence[float]]) -> None:
    print(f"\n{count} domains, {delay * 1000:g} ms added to each answer; medians of alternate runs")
    print(f"  the engine alone, one process  {alone:8.1f} domains/s")
    for kind, kind_rates in rates.items():
        rate = statistics.median(kind_rates)
        print(
            f"  requested and stored, {kind:10} {rate:8.1f} domains/s,"
            f" {rate / alone:.0%} of the engine (target {TARGET:.0%})"
        )


if __name__ == "__main__":
    main()

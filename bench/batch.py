"""Scans through the queue beside the engine alone: the same zone, in turns.

    ./dev bench batch [--rounds 3] [--domains 1000] [--delay 0.02]

The engine alone is ``examine`` with every check in one process. Through the queue is what a client
has: ``trigger_many``, one worker, until the last result is stored, on SQLite and on PostgreSQL.
"""

import argparse
import statistics
import time
from contextlib import ExitStack
from uuid import UUID

from redis import Redis
from rq import Worker

from app import queue, runtime
from app.checks import CHECKS
from app.services import accounts, domains, scans
from app.services.scans import Selection
from app.settings import Settings
from bench import answerer, backends, scan

ACTOR = "cli:bench"
TARGET = 0.6


def through(server: answerer.Server, kind: str, numbers: range, rounds: int) -> list[float]:
    """Domains a second, of each round, from the request to the last stored result."""
    with ExitStack() as stack:
        redis_url = stack.enter_context(backends.valkey())
        database_url = stack.enter_context(backends.database(kind))
        variables = backends.variables(
            database_url,
            redis_url,
            DNS_NAMESERVERS=f"127.0.0.1:{server.port}",
            ASK_NAME_SERVERS="off",  # their addresses are other people's
        )
        runtime.start(Settings.from_environ(variables))
        stack.enter_context(backends.process("worker", variables, queue.SCANS))
        account_id = accounts.create("bench").id
        for number in numbers:
            domains.create(account_id, _alike(number), actor=ACTOR)
        _await_worker(redis_url)
        return [len(numbers) / _seconds(account_id) for _ in range(rounds)]


def _alike(number: int) -> domains.NewDomain:
    """The domain whose scan asks what the engine alone asks: selectors are named, not tried."""
    return domains.NewDomain(answerer.domain(number), dkim_selectors=answerer.SELECTORS)


def _await_worker(redis_url: str) -> None:
    with Redis.from_url(redis_url) as connection:
        while not Worker.all(connection=connection):
            time.sleep(0.05)


def _seconds(account_id: UUID) -> float:
    started = time.perf_counter()
    batch = scans.trigger_many(account_id, Selection(all=True), actor=ACTOR)
    while batch.finished_at is None:
        time.sleep(0.05)
        batch = scans.find_batch(account_id, batch.id)
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
        scan.ours(server, numbers.take(20), CHECKS)  # what is made once
        same = numbers.take(options.domains)
        alone = statistics.median(
            scan.ours(server, numbers.take(options.domains), CHECKS).rate
            for _ in range(options.rounds)
        )
        print(f"\n{options.domains} domains, {options.delay * 1000:g} ms added to each answer")
        print(f"  the engine alone, one process  {alone:8.1f} domains/s")
        for kind in ("sqlite", "postgresql"):
            rates = through(server, kind, same, options.rounds)
            rate = statistics.median(rates)
            print(
                f"  asked for and stored, {kind:10} {rate:8.1f} domains/s,"
                f" {rate / alone:.0%} of it (target {TARGET:.0%})"
            )


if __name__ == "__main__":
    main()

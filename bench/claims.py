"""Claims of scans, report files and deliveries by 1, 4 and 16 processes, on PostgreSQL.

    ./dev bench claims [--work scans] [--rows 50000] [--claims 16] [--pause 1.0]

The claimers first claim without a break, which shows how many rows the database hands out. Then
each pauses between its claims, as a worker does that runs the scans of a claim. The input of the
checks, which a worker reads after a claim of scans, is not included. CPU time is that of the
claimers and of PostgreSQL.
"""

import argparse
import logging
import multiprocessing
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from sqlalchemy import func, insert, literal, select, text

from app import ids
from app import settings as app_settings
from app.db import transactions
from app.db.engine import connect
from app.db.transactions import bind, transaction
from app.jobs import queue
from app.models import Channel, Delivery, Domain, Event, ReportFile
from app.services.filing import claims as file_claims
from app.services.ingest import files as ingest_files
from app.services.notifications import delivery_queue
from app.services.scans import claims as scan_claims
from app.services.scans import scans
from app.settings import types as setting_types
from bench import backends
from tests.support.factories import ACTOR, make_account

ACCOUNTS = 20  # one of them has half of the rows
CLAIMERS = (1, 4, 16)
EVENTS = 10  # deliveries of a channel
SIZE = 100  # rows of a claim


@dataclass(frozen=True, slots=True)
class Claimed:
    """What one claimer did."""

    keys: Sequence[UUID]
    seconds: Sequence[float]
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Task:
    """What one claimer is to do."""

    url: str
    work: str
    start_at: float
    claims: int
    pause: float


@dataclass(frozen=True, slots=True)
class Work:
    """A kind of queued work; it has the name of its table.

    queue    queues rows of a new account, and returns the seconds that it took
    claim    claims SIZE rows, and returns their keys
    release  a statement that queues the claimed rows again
    """

    queue: Callable[[int], float]
    claim: Callable[[], Sequence[UUID]]
    release: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", choices=list(WORK), help="only this kind of work")
    parser.add_argument("--rows", type=int, default=50_000, help="number of queued rows")
    parser.add_argument("--claims", type=int, default=16, help="claims of each claimer")
    parser.add_argument("--pause", type=float, default=1.0, help="mean seconds between two claims")
    options = parser.parse_args()
    for work in [options.work] if options.work else WORK:
        with backends.database("postgresql") as plain_url:
            url = setting_types.database_url(plain_url)
            _bind(url)
            _queue(work, options.rows)
            for pause in (0.0, options.pause):
                for count in CLAIMERS:
                    _release(work)
                    task = Task(
                        url=url, work=work, start_at=0.0, claims=options.claims, pause=pause
                    )
                    _measure(count, task)


def _bind(url: str) -> None:
    chosen = backends.settings_of(backends.variables(url, backends.NO_REDIS))
    app_settings.use(chosen)
    bind(connect(url, statement_seconds=600))
    queue.bind(chosen.redis_url)
    logging.disable(logging.WARNING)  # Redis is unavailable on purpose


def _queue(work: str, rows: int) -> None:
    """Queue the rows, and print how long that takes for the account with half of them."""
    shares = [rows // 2, *[rows // 2 // (ACCOUNTS - 1)] * (ACCOUNTS - 1)]
    seconds = [WORK[work].queue(share) for share in shares]
    _print(f"{work}: {shares[0]} rows of one account queued in {seconds[0]:.1f} s")


def _queue_scans(count: int) -> float:
    """Queue a scan of each of ``count`` domains of a new account, and return the seconds."""
    account_id = make_account().id
    with transaction() as session:
        domains = [Domain(account_id=account_id, name=f"d{n}.test") for n in range(count)]
        session.add_all(domains)
        session.flush()
        names = {domain.id: domain.name for domain in domains}
    started = time.perf_counter()
    with transaction() as session:
        scans.request_many(session, account_id, names, actor=ACTOR, trigger="api")
    return time.perf_counter() - started


def _queue_files(count: int) -> float:
    """Queue ``count`` files of a new account again, and return the seconds."""
    account_id = make_account().id
    with transaction() as session:
        columns = {"account_id": account_id, "received_via": "http", "status": "rejected"}
        rows = [
            {**columns, "sha256": number.to_bytes(32), "size_bytes": 1_000}
            for number in range(count)
        ]
        session.execute(insert(ReportFile), rows)
    started = time.perf_counter()
    with transaction() as session:
        own = ReportFile.account_id == account_id
        ingest_files.parse_again(session, own, transactions.now(session))
    return time.perf_counter() - started


def _queue_deliveries(count: int) -> float:
    """Queue ``count`` deliveries to channels of a new account, and return the seconds."""
    account_id = make_account().id
    own = {"account_id": account_id}
    with transaction() as session:
        kind = {"kind": "webhook", "target": "https://a.test/", "created_by": ACTOR}
        names = [f"c{number}" for number in range(count // EVENTS)]
        session.execute(insert(Channel), [{**own, **kind, "name": name} for name in names])
        body = {"type": "alert.opened", "timestamp": "", "data": {}}
        events = [{**own, "type": "alert.opened", "body": body, "alert_id": ids.new()}] * EVENTS
        session.execute(insert(Event), [{**event, "id": ids.new()} for event in events])
    started = time.perf_counter()
    with transaction() as session:
        columns = (Delivery.account_id, Delivery.channel_id, Delivery.event_number)
        rows = select(Channel.account_id, Channel.id, Event.number, Event.alert_id).join(
            Event, Event.account_id == Channel.account_id
        )
        new_id, at = func.gen_random_uuid(), func.now()
        state = (Delivery.id, Delivery.status, Delivery.attempts)
        times = (Delivery.next_at, Delivery.created_at)
        session.execute(
            insert(Delivery).from_select(
                [*columns, Delivery.alert_id, *state, *times],
                rows.where(Channel.account_id == account_id).add_columns(
                    new_id, literal("pending"), literal(0), at, at
                ),
                include_defaults=False,
            )
        )
    return time.perf_counter() - started


def _release(work: str) -> None:
    """Queue the claimed rows again, as if they had been released."""
    with transaction() as session:
        session.execute(text(WORK[work].release))
    with connect(app_settings.current().database_url).connect() as connection:
        connection.execute(text(f"VACUUM ANALYZE {work}"))


def _measure(count: int, task: Task) -> None:
    context = multiprocessing.get_context("spawn")
    before = _server_seconds()
    start_at = time.time() + 2 + count / 2  # once all have started
    with context.Pool(count) as pool:
        tasks = [replace(task, start_at=start_at)] * count
        results = pool.map(_claim, tasks, chunksize=1)
        pool.close()
        pool.join()
    time.sleep(0.5)  # until the server has reaped its processes
    keys = [key for result in results for key in result.keys]
    if len(keys) != len(set(keys)):
        raise SystemExit("a row was claimed twice")
    seconds = sorted(second for result in results for second in result.seconds)
    cpu = sum(result.cpu_seconds for result in results)
    server = _server_seconds() - before
    busy = sum(seconds) / count
    _print(
        f"{count:3} claimers, pause {task.pause:g} s: {len(keys):6} rows, "
        f"claim of {SIZE}: median {statistics.median(seconds) * 1000:7.1f} ms, "
        f"worst {seconds[-1] * 1000:8.1f} ms; {len(keys) / busy:8,.0f} rows/s; CPU of a row: "
        f"claimer {cpu / len(keys) * 1000:.2f} ms, server {server / len(keys) * 1000:.2f} ms"
    )


def _claim(task: Task) -> Claimed:
    """Run one claimer in a process of its own."""
    _bind(task.url)
    keys: list[UUID] = []
    seconds: list[float] = []
    claim = WORK[task.work].claim
    claim()  # the first use builds the statements
    time.sleep(max(0.0, task.start_at - time.time()))
    cpu = time.process_time()
    for _ in range(task.claims):
        time.sleep(random.uniform(0, 2 * task.pause))
        started = time.perf_counter()
        keys += claim()
        seconds.append(time.perf_counter() - started)
    return Claimed(keys, seconds, time.process_time() - cpu)


def _server_seconds() -> float:
    """The CPU time of all processes of the server that have ended."""
    with transaction(readonly=True) as session:
        directory = session.execute(text("SHOW data_directory")).scalar_one()
    process_id = Path(directory, "postmaster.pid").read_text("ascii").split()[0]
    fields = Path("/proc", process_id, "stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


WORK: Mapping[str, Work] = {
    "scans": Work(
        queue=_queue_scans,
        claim=lambda: [scan.id for scan in scan_claims.lease_next(SIZE)],
        release="UPDATE scans SET status = 'queued', lease_until = NULL, attempt = 0 "
        "WHERE status = 'running'",
    ),
    "report_files": Work(
        queue=_queue_files,
        claim=lambda: [claim.report_file_id for claim in file_claims.claim()],
        release="UPDATE report_files SET lease_until = NULL, attempt = 0 "
        "WHERE lease_until IS NOT NULL",
    ),
    "channels": Work(
        queue=_queue_deliveries,
        claim=lambda: [claim.channel_id for claim in delivery_queue.claim_due(SIZE, failing=SIZE)],
        release="UPDATE channels SET lease_until = NULL, lease_holder = NULL "
        "WHERE lease_until IS NOT NULL",
    ),
}


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

"""How long other processes wait to write to SQLite while a large report is stored.

    ./dev bench writers [--records 100000] [--interval-ms 20]

SQLite has one writer at a time. A second process commits a small change at each interval, and
measures how long each commit takes. Compare the longest one with that of an idle service.
"""

import argparse
import logging
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

from sqlalchemy import update

from app.db import engine, transactions
from app.db.transactions import transaction
from app.errors import ServiceUnavailable
from app.models import Account
from app.services.accounts import accounts
from app.services.domains import domains
from app.services.domains.domains import NewDomain
from app.services.filing import processor
from app.services.ingest import files
from app.services.rollups import rollup_queue
from bench import reports
from bench.rows import DOMAIN, prepare
from devtools import ROOT
from devtools.environment import PYTHON

IDLE_SECONDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--interval-ms", type=int, default=20)
    parser.add_argument("--write", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write(options.write, options.interval_ms / 1_000)
        return
    raw = reports.gz(reports.xml(options.records, 1))
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/bench.db"
        prepare(url)
        account = accounts.create("bench", actor="user:bench")
        domains.create(account.id, NewDomain(DOMAIN), actor="user:bench")
        file_id = files.store(account.id, raw, received_via="cli").file.id
        command = (
            *(str(PYTHON), "-m", "bench.writers", "--write", url),
            *("--interval-ms", str(options.interval_ms)),
        )
        for name, work in (
            ("idle", lambda: time.sleep(IDLE_SECONDS)),
            ("storing the report", lambda: processor.run([file_id])),
            ("rolling it up", rollup_queue.drain),
        ):
            show(name, command, work)


def show(name: str, command: Sequence[str], work: Callable[[], object]) -> None:
    """Print the waits of the other process while the work runs."""
    writer = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    if writer.stdin is None or writer.stdout is None:
        raise RuntimeError("no pipes")
    writer.stdout.readline()  # it is ready
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    writer.stdin.close()
    print(
        f"  {name:20} {wall:6.1f} s, CPU {cpu:5.1f} s; {writer.stdout.read().strip()}", flush=True
    )
    writer.wait()


def write(url: str, interval: float) -> None:
    """Commit a small change at each interval until stdin is closed, and print the waits."""
    transactions.bind(engine.connect(url))
    logging.disable(logging.WARNING)  # it counts the failures
    waits, failures = [], 0
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], interval)[0]:
        started = time.perf_counter()
        try:
            with transaction() as session:
                session.execute(update(Account).values(last_sequence=Account.last_sequence + 1))
        except ServiceUnavailable:
            failures += 1
        waits.append(time.perf_counter() - started)
    waits = sorted(waits) or [0.0]
    median, most = waits[len(waits) // 2] * 1e3, waits[-1] * 1e3
    print(
        f"{len(waits)} commits of another process, {failures} failed: "
        f"median {median:.0f} ms, longest {most:.0f} ms"
    )


if __name__ == "__main__":
    main()

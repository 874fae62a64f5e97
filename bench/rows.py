"""From a file as it is received to committed rows, beside what parsedmarc needs to parse alone.

    ./dev bench rows [--records 100000] [--peer-records 10000] [--database sqlite:///…]

One worker's work: the file is taken in, read and settled as a job does it. The database is a new
SQLite file unless another is named, which must be empty and is left as it is afterwards.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

from sqlalchemy import func, select

from app import runtime
from app.db.transactions import transaction
from app.models import DmarcRecord
from app.services.accounts import accounts
from app.services.domains import domains
from app.services.domains.domains import NewDomain
from app.services.ingest import files, processor
from app.settings import Settings, database_url
from bench import peers, reports
from bench.intake import parsedmarc, write
from devtools import ROOT
from devtools.environment import program, variables

DOMAIN = "shop.example"
TARGET = 10  # × parsedmarc's parse alone
SECRET = "b" * 40


def prepare(url: str) -> None:
    """Tables in the database, and this process on it."""
    settings = {"DATABASE_URL": url, "SECRET_KEY": SECRET, "REDIS_URL": "redis://127.0.0.1:1/0"}
    subprocess.run(
        [program("alembic"), "upgrade", "head"],
        check=True,
        env={**variables(), **settings},
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    runtime.start(
        Settings(
            secret_key=SECRET,
            database_url=database_url(url),
            redis_url=settings["REDIS_URL"],
            allow_special_use_names=True,
            domain_verification="off",
            log_level="error",
        )
    )


def ours(raw: bytes) -> float:
    """Records that are committed in a second of CPU time, from the moment the file is there."""
    account = accounts.create("bench", actor="user:bench")
    domains.create(account.id, NewDomain(DOMAIN), actor="user:bench")
    started = time.process_time()
    taken = files.store(account.id, raw, received_via="cli")
    processor.run([taken.intake.id])
    seconds = time.process_time() - started
    with transaction(readonly=True) as session:
        count = session.scalar(select(func.count()).select_from(DmarcRecord)) or 0
    return count / seconds


def theirs(records: int) -> float:
    """Records that parsedmarc parses in a second of CPU time, without looking addresses up."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "files")
        write(folder, reports.gz, 1, records)
        found = parsedmarc(folder, False, lookups=False)
    return found["records"] / found["cpu"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--peer-records", type=int, default=10_000)
    parser.add_argument("--database", help="an empty one")
    options = parser.parse_args()
    peers.prepare()
    raw = reports.gz(reports.xml(options.records, 1))
    with tempfile.TemporaryDirectory() as place:
        prepare(options.database or f"sqlite:///{place}/bench.db")
        rate = ours(raw)
    peer = theirs(options.peer_records)
    verdict = "meets" if rate >= TARGET * peer else "misses"
    print(f"  ours, to committed rows    {rate:10.0f} records/s")
    print(f"  parsedmarc, parsing alone  {peer:10.0f} records/s")
    print(f"  {rate / peer:.1f} ×, which {verdict} the target of {TARGET} ×")


if __name__ == "__main__":
    main()

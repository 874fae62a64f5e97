"""From a received file to committed rows, compared with the parse time of parsedmarc.

    ./dev bench rows [--records 100000] [--peer-records 10000] [--database sqlite:///…]

This is the work of one worker: the file is stored, parsed and filed as in a job. The database is a
new SQLite file, or the empty database that is named, which is not deleted afterwards.
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
from app.services.filing import processor
from app.services.ingest import files
from app.settings import Settings
from bench import backends, peers, reports
from bench.report_parsing import parsedmarc, write
from devtools import ROOT
from devtools.environment import program, variables

DOMAIN = "shop.example"
TARGET = 10  # × the parse rate of parsedmarc


def prepare(url: str) -> None:
    """Create the tables and bind this process to the database."""
    settings = {"DATABASE_URL": url, "SECRET_KEY": backends.SECRET, "REDIS_URL": backends.NO_REDIS}
    subprocess.run(
        [program("alembic"), "upgrade", "head"],
        check=True,
        env={**variables(), **settings},
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    runtime.start(
        Settings(
            secret_key=backends.SECRET,
            database_url=url,
            redis_url=settings["REDIS_URL"],
            allow_special_use_names=True,
            domain_verification="off",
            log_level="error",
        )
    )


def ours(raw: bytes) -> float:
    """The records committed per second of CPU time, starting with the received file."""
    account = accounts.create("bench", actor="user:bench")
    domains.create(account.id, NewDomain(DOMAIN), actor="user:bench")
    started = time.process_time()
    stored = files.store(account.id, raw, received_via="cli")
    processor.run([stored.file.id])
    seconds = time.process_time() - started
    with transaction(readonly=True) as session:
        count = session.scalar(select(func.count()).select_from(DmarcRecord)) or 0
    return count / seconds


def theirs(records: int) -> float:
    """The records that parsedmarc parses per second of CPU time, without address lookups."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory, "files")
        write(folder, reports.gz, 1, records)
        result = parsedmarc(folder, False, lookups=False)
    return result["records"] / result["cpu"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--peer-records", type=int, default=10_000)
    parser.add_argument("--database", help="URL of an empty database")
    options = parser.parse_args()
    peers.prepare()
    raw = reports.gz(reports.xml(options.records, 1))
    with tempfile.TemporaryDirectory() as directory:
        prepare(options.database or f"sqlite:///{directory}/bench.db")
        rate = ours(raw)
    peer = theirs(options.peer_records)
    verdict = "meets" if rate >= TARGET * peer else "misses"
    print(f"  ours, to committed rows    {rate:10.0f} records/s")
    print(f"  parsedmarc, parsing only   {peer:10.0f} records/s")
    print(f"  {rate / peer:.1f} ×, which {verdict} the target of {TARGET} ×")


if __name__ == "__main__":
    main()

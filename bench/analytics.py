"""Analytics on ten million records: each service call compared with its target and the raw rows.

    ./dev bench analytics [--records 10000000] [--sqlite-records 1000000] [--rounds 7]

A thousand domains over a year: the largest has a fifth of all records (165,000 in 30 days of ten
million) from 3,000 addresses, a hundred have 1,276 in 30 days, the others share the rest. The
database generates raw rows and rollups, which are checked against each other. There are TLS reports
of 15 and of 5 reporters a day. Then aggregate reports of 100 records are ingested alternately with
and without rollups.
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
from sqlalchemy import text

from app import settings
from app.analysis.mail.periods import SeriesQuery, Window
from app.db import engine, transactions
from app.jobs import queue
from app.protocols.dmarc import Policy
from app.services.analytics import dmarc as analytics_dmarc
from app.services.analytics import policy, sending, sources, tls
from app.services.analytics.dmarc import DmarcQuery
from app.services.analytics.policy import PolicyTrial
from app.services.operations import preloading
from app.settings import Settings
from app.settings import types as setting_types
from bench import backends, reports_made, rollup_cost, tls_made
from bench.reports_made import LARGEST, ORDINARY
from tests.support import servers

END = datetime(2026, 10, 30, tzinfo=UTC)
LIMITS = {(LARGEST, 30): 40.0, (ORDINARY, 30): 10.0, (LARGEST, 365): 300.0, (ORDINARY, 365): 300.0}
RAW = text(
    "SELECT at, disposition, dkim, spf, sum(count) FROM dmarc_records"
    " WHERE domain_id = :domain AND at >= :start AND at < :stop GROUP BY 1, 2, 3, 4"
)
RAW_SOURCES = text(
    "SELECT source_ip, dkim, spf, sum(count) FROM dmarc_records"
    " WHERE domain_id = :domain AND at >= :start AND at < :stop GROUP BY 1, 2, 3"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A database with generated data."""

    name: str
    account_id: UUID
    domains: dict[str, UUID]


def calls(database: Place, domain: str, days: int) -> dict[str, Callable[[], object]]:
    """The measured calls by name."""
    start = END - timedelta(days=days)
    window = Window.between(start, END)
    account_id = database.account_id
    trial = PolicyTrial(p=Policy.REJECT, adkim="s")

    def dmarc(by: analytics_dmarc.GroupBy | None) -> Callable[[], object]:
        question = DmarcQuery(domain, start, END, group_by=by)
        return lambda: analytics_dmarc.summarize(account_id, question)

    cached = {
        "dmarc": dmarc(None),
        "dmarc by reporter": dmarc("reporter"),
        "dmarc by headerFrom": dmarc("headerFrom"),
        "dmarc by source": dmarc("source"),
        "sources": lambda: sources.search(account_id, domain, window),
        "reporters": lambda: sources.coverage(account_id, domain, window),
        "readiness": lambda: policy.assess_readiness(account_id, domain, window),
        "simulate": lambda: policy.simulate(account_id, domain, window, trial),
        "tls-rpt": lambda: tls.summarize(account_id, SeriesQuery(domain, start, END)),
    }
    uncached = {f"{name}, uncached": _uncached(call) for name, call in cached.items()}
    raw = {"raw: series + sources": lambda: _raw(database.domains[domain], start)}
    return cached | uncached | raw


def _uncached(call: Callable[[], object]) -> Callable[[], object]:
    """The call with empty caches: repeated calls in the same window are cached otherwise."""

    def first() -> object:
        analytics_dmarc._cached.clear()
        sending._cached.clear()
        return call()

    return first


def _raw(domain_id: UUID, start: datetime) -> None:
    with transactions.transaction(readonly=True) as session:
        is_sqlite = session.get_bind().dialect.name == "sqlite"
        values = {
            "domain": domain_id.hex if is_sqlite else domain_id,
            "start": start.strftime("%Y-%m-%d %H:%M:%S.%f") if is_sqlite else start,
            "stop": END.strftime("%Y-%m-%d %H:%M:%S.%f") if is_sqlite else END,
        }
        for statement in (RAW, RAW_SOURCES):
            session.execute(statement, values).all()


def median_ms(call: Callable[[], object], rounds: int) -> float:
    """The median of this number of calls in milliseconds, after one to warm up."""
    taken = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        call()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken[1:])


def measure(database: Place, rounds: int) -> bool:
    """Print each median with its target; returns whether all targets are met."""
    is_met = True
    for (domain, days), limit in LIMITS.items():
        print(f"\n{database.name}: the {domain.partition('.')[0]} domain, {days} days, ms")
        medians = {
            name: median_ms(call, rounds) for name, call in calls(database, domain, days).items()
        }
        raw = medians["raw: series + sources"]
        for name, ms in medians.items():
            verdict = "" if name.startswith("raw") else f"< {limit:.0f}: {_yes_or_no(ms < limit)}"
            is_met &= name.startswith("raw") or ms < limit
            print(f"  {name:24} {ms:9.1f}   {raw / ms:6.1f} × as fast as raw   {verdict}")
    return is_met


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "NO"


def on_postgres(records: int, rounds: int, directory: Path) -> bool:
    """Generate, check and measure on a separate PostgreSQL server."""
    server = servers.start_postgres(directory)
    try:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET shared_buffers = '1GB'")
            connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
            connection.execute("ALTER SYSTEM SET maintenance_work_mem = '512MB'")
        server.restart()
        url = setting_types.database_url(server.url)
        bind(url)
        database = Place("PostgreSQL", *reports_made.in_postgres(server.url, url, records, END))
        tls_made.make(database.account_id, database.domains, END)
        is_met = measure(database, rounds)
        return rollup_cost.measure(database.account_id) and is_met
    finally:
        server.stop()


def bind(url: str) -> None:
    """Use this database, with the settings of a service that trusts its domains."""
    settings.use(
        Settings(
            secret_key=backends.SECRET,
            database_url=url,
            redis_url=backends.NO_REDIS,
            domain_verification="off",
            allow_special_use_names=True,
        )
    )
    transactions.bind(engine.connect(url, statement_seconds=3600))
    queue.bind(settings.current().redis_url)
    logging.disable(logging.WARNING)  # Redis is unavailable on purpose


def main(arguments: Sequence[str]) -> int:
    """Exit status 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="./dev bench analytics")
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--sqlite-records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args(arguments)
    preloading.preload()  # as each process of the service does
    with tempfile.TemporaryDirectory(prefix="mailwatch-bench-") as name:
        directory = Path(name)
        is_met = True
        if chosen.sqlite_records:
            url = f"sqlite:///{directory / 'bench.db'}"
            bind(url)
            made = reports_made.in_sqlite(directory / "bench.db", chosen.sqlite_records, END)
            tls_made.make(*made, END)
            is_met &= measure(Place("SQLite", *made), chosen.rounds)
        if chosen.records:
            is_met &= on_postgres(chosen.records, chosen.rounds, directory)
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

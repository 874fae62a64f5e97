"""The bytes that a domain, a scan and a report take in each database, with their indexes.

    ./dev bench storage [--domains 300] [--scans 10] [--reports 10]

Every domain is scanned through the engine with the same name server, and receives reports from
forty addresses, like an ordinary domain. Sizes are those of the database, before and after each
step, divided by the rows that the step stored.
"""

import argparse
import logging
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from app import settings
from app.db import engine, transactions
from app.db.transactions import transaction
from app.jobs import queue
from app.services.domains import domains
from app.services.domains.domains import NewDomain
from app.services.filing import processor
from app.services.ingest import files
from app.services.rollups import rollup_queue
from app.services.scans import runner, scans
from app.settings import Settings
from app.settings import types as setting_types
from bench import answerer, backends, reports, scan
from tests.support import report_documents
from tests.support.factories import make_account

ACTOR = "cli:bench"
COLUMNS = ("what is stored", "PostgreSQL", "SQLite")
KINDS = ("postgresql", "sqlite")
REPORTERS, ADDRESSES = 6, 40  # of a domain
SMALL, LARGE = 10, 110  # records of a report
ROWS = (
    "A domain with its state, its alerts and one scan",
    "A further scan without changes",
    f"An aggregate report with {SMALL} records, and its file",
    f"An aggregate report with {SMALL} records, after its file is deleted",
    "Each further record",
    "A TLS report, and its file",
)
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many rows to store."""

    domains: int
    scans: int
    reports: int


def main(arguments: list[str]) -> int:
    """Print the table of docs/scaling.md."""
    parser = argparse.ArgumentParser(prog="./dev bench storage")
    parser.add_argument("--domains", type=int, default=300)
    parser.add_argument("--scans", type=int, default=10, help="further scans of each domain")
    parser.add_argument("--reports", type=int, default=10, help="of each size, for each domain")
    chosen = parser.parse_args(arguments)
    amounts = Amounts(chosen.domains, chosen.scans, chosen.reports)
    sizes: dict[str, Mapping[str, float]] = {}
    with answerer.answering(amounts.domains, 0) as server:
        for kind in KINDS:
            with backends.database(kind) as url:
                sizes[kind] = _measure(setting_types.database_url(url), server, amounts)
    sys.stdout.write(table(sizes))
    return 0


def table(sizes: Mapping[str, Mapping[str, float]]) -> str:
    """Return the sizes as a Markdown table, in kilobytes."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"| --- {'| ---: ' * len(KINDS)}|"]
    for what in ROWS:
        cells = (f"{sizes[kind][what] / 1000:.1f} kB" for kind in KINDS)
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _measure(url: str, server: answerer.Server, amounts: Amounts) -> dict[str, float]:
    """The bytes of a row of each kind."""
    _bind(url)
    account_id = make_account().id
    names = [answerer.domain(number) for number in range(amounts.domains)]
    count = len(names) * amounts.reports
    network = scan.network(server)

    def add_domains() -> None:
        for name in names:
            new = NewDomain(name, dkim_selectors=answerer.SELECTORS, schedule="off")
            domains.create(account_id, new, actor=ACTOR)
        scan_all()

    def scan_all() -> None:
        scan_ids = [scans.trigger(account_id, name, actor=ACTOR).scan.id for name in names]
        for start in range(0, len(scan_ids), scan.CONCURRENCY):
            runner.run(scan_ids[start : start + scan.CONCURRENCY], network)

    def scan_again() -> None:
        for _ in range(amounts.scans):
            scan_all()

    first = _grown(add_domains)
    per_scan = _grown(scan_again) / (amounts.scans * len(names))
    _grown(lambda: _ingest(account_id, _aggregate(names, 1, SMALL)))  # addresses become known
    small = _grown(lambda: _ingest(account_id, _aggregate(names, amounts.reports, SMALL))) / count
    small_raw = _raw_bytes() / (count + len(names))
    large = _grown(lambda: _ingest(account_id, _aggregate(names, amounts.reports, LARGE))) / count
    large_raw = (_raw_bytes() - small_raw * (count + len(names))) / count
    tls = _grown(lambda: _ingest(account_id, _tls(names, amounts.reports))) / count
    per_record = (large - large_raw - small + small_raw) / (LARGE - SMALL)
    sizes = (first / len(names), per_scan, small, small - small_raw, per_record, tls)
    return dict(zip(ROWS, sizes, strict=True))


def _bind(url: str) -> None:
    chosen = Settings(
        secret_key=backends.SECRET,
        database_url=url,
        redis_url=backends.NO_REDIS,
        domain_verification="off",
        allow_special_use_names=True,
        check_authoritative_servers=False,
    )
    settings.use(chosen)
    transactions.bind(engine.connect(url, statement_seconds=3600))
    queue.bind(chosen.redis_url)
    logging.disable(logging.WARNING)  # Redis is unavailable on purpose


def _grown(store: Callable[[], None]) -> int:
    """The bytes that the database grows by."""
    before = _size()
    store()
    return _size() - before


def _size() -> int:
    """The bytes of the tables and indexes, without free pages and the space of deleted rows."""
    with transactions.current_engine().connect() as connection:
        if connection.dialect.name == "sqlite":
            return int(connection.scalar(text("SELECT sum(pgsize) FROM dbstat")) or 0)
        connection.execute(text("VACUUM FULL"))
        size = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r'"
        return int(connection.scalar(text(f"{size} AND relnamespace = 'public'::regnamespace")))


def _raw_bytes() -> int:
    with transaction(readonly=True) as session:
        return int(session.scalar(text("SELECT sum(length(content)) FROM raw_files")) or 0)


def _aggregate(names: list[str], count: int, records: int) -> Iterator[bytes]:
    """Aggregate reports of each domain, a day of a reporter each."""
    chance = random.Random(records + count)
    for name in names:
        for number in range(count):
            listed = [
                report_documents.record(
                    name,
                    ip=f"192.0.2.{int(ADDRESSES * chance.random() ** 2)}",
                    count=chance.randrange(1, 500),
                    selector=chance.choice(answerer.SELECTORS),
                )
                for _ in range(records)
            ]
            begin = report_documents.YESTERDAY - number // REPORTERS * DAY
            yield report_documents.dmarc_xml(
                name,
                f"{name}-{records}-{count}-{number}",
                records=listed,
                org=f"r{number % REPORTERS}.test",
                begin=begin,
                end=begin + DAY - 1,
            )


def _tls(names: list[str], count: int) -> Iterator[bytes]:
    for name in names:
        for number in range(count):
            yield report_documents.tls_json(name, f"{name}-{number}", failed=number % 2)


def _ingest(account_id: UUID, documents: Iterator[bytes]) -> None:
    """Store the reports as files in gzip, as they are sent, and process them."""
    for document in documents:
        files.store(account_id, reports.gz(document), received_via="http")
    while processor.run([]):
        pass
    while rollup_queue.drain():
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

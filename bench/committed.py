"""The time from report files to committed rows, and from rows to rollups.

    ./dev bench committed [--files 300] [--records 100000]

Compare with ``bench report_parsing``, where the figures of parsedmarc are for parsing only. CPU
time is that of this process; the time of PostgreSQL is only part of the wall-clock time.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable
from uuid import UUID

from sqlalchemy import delete

from app import settings as app_settings
from app.db.bulk import insert_many
from app.db.engine import connect
from app.db.transactions import bind, transaction
from app.jobs import queue
from app.models import DmarcRecord
from app.services.filing import processor
from app.services.ingest import files as ingest_files
from app.services.rollups import rollup_queue
from app.settings import Settings
from app.settings import types as setting_types
from bench import backends, reports
from tests.support.factories import make_account, make_domain

SMALL = 10  # records
_COLUMNS = (
    *("report_id", "position", "account_id", "domain_id", "at", "source_ip", "count"),
    *("disposition", "dkim", "spf", "header_from", "envelope_from", "envelope_to"),
    *("reasons", "dkim_results", "spf_results"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=300, help="number of small reports")
    parser.add_argument("--records", type=int, default=100_000, help="records of the large report")
    options = parser.parse_args()
    for kind in ("postgresql", "sqlite"):
        with backends.database(kind) as url:
            _measure(kind, url, options.files, options.records)


def _measure(kind: str, url: str, files: int, records: int) -> None:
    url = setting_types.database_url(url)
    chosen = Settings(
        secret_key=backends.SECRET,
        database_url=url,
        redis_url=backends.NO_REDIS,
        allow_special_use_names=True,
        domain_verification="off",
    )
    app_settings.use(chosen)
    engine = connect(url, statement_seconds=600)
    bind(engine)
    queue.bind(chosen.redis_url)
    logging.disable(logging.WARNING)  # Redis is unavailable on purpose
    account_id = make_account().id
    make_domain(account_id, "shop.example")
    _read(account_id, [reports.gz(reports.xml(SMALL, 0))])  # warm up
    rollup_queue.drain()
    small = [reports.gz(reports.xml(SMALL, number)) for number in range(1, files + 1)]
    large = [reports.gz(reports.xml(records, 0x7FFF))]
    for name, raws, count, what in (
        (f"{kind}: {SMALL} records", small, files, "reports"),
        (f"{kind}: {records} records", large, records, "records"),
    ):
        _print_result(name, _read(account_id, raws), count, what)
        _print_result(f"{name}, rolled up afterwards", _timed(rollup_queue.drain), count, what)
    _print_result(f"{kind}: only the rows", _insert(records), records, "rows")
    engine.dispose()


def _read(account_id: UUID, files: list[bytes]) -> tuple[float, float]:
    """(wall, CPU) time from stored files to committed rows."""
    for raw in files:
        ingest_files.store(account_id, raw, received_via="http")
    took = _timed(lambda: processor.run([]))
    assert {row.status for row in ingest_files.counts(account_id)} == {"parsed"}
    return took


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def _insert(records: int) -> tuple[float, float]:
    """(wall, CPU) time to insert only the records of the large report again."""
    with transaction() as session:
        stored = session.execute(
            DmarcRecord.__table__.select().order_by(DmarcRecord.report_id, DmarcRecord.position)
        ).all()[-records:]
        rows = [[getattr(row, name) for name in _COLUMNS] for row in stored]
        session.execute(delete(DmarcRecord))

    def insert() -> None:
        with transaction() as session:
            insert_many(session, DmarcRecord, _COLUMNS, rows)

    return _timed(insert)


def _print_result(name: str, took: tuple[float, float], count: int, what: str) -> None:
    wall, cpu = took
    text = f"{name:48} {count / wall:10,.0f} {what}/s wall {count / cpu:10,.0f} by CPU\n"
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()

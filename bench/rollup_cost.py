"""The cost of rollups for the ingestion of reports with 100 records."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from app.services.filing import processor
from app.services.ingest import files
from app.services.rollups import rollup_queue
from tests.support.report_documents import RECORD, REPORT, YESTERDAY

REPORTS, RECORDS, ROUNDS = 25, 100, 8
LIMIT = 20.0  # percent


def measure(account_id: UUID) -> bool:
    """Print the time that rollups add to ingestion; returns whether it is within the limit."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    counting_took = []
    for number in range(2 * ROUNDS + 2):
        is_counted = number % 2 == 0
        waiting = [_take_in(account_id, number * REPORTS + i) for i in range(REPORTS)]
        with _counting(is_counted):
            started = time.perf_counter()
            processor.run(waiting)
            read = time.perf_counter()
        rollup_queue.drain()
        counted = time.perf_counter()
        if number > 1:
            taken[is_counted].append((read - started) * 1000 / REPORTS)
        if number > 1 and is_counted:
            counting_took.append((counted - read) * 1000 / REPORTS)
    without, with_them = (statistics.median(taken[kind]) for kind in (False, True))
    later = statistics.median(counting_took)
    slower = (with_them / without - 1) * 100
    print(
        f"\ningestion of a report with {RECORDS} records: {without:.1f} ms without rollups, "
        f"{with_them:.1f} ms with them: {slower:+.0f} %, limit {LIMIT:.0f} %; "
        f"rolled up afterwards, {REPORTS} at a time: {later:.1f} ms each"
    )
    return slower < LIMIT


def _take_in(account_id: UUID, number: int) -> UUID:
    """Store a received report of the largest domain with known and unknown addresses."""
    domain = "largest.test"
    records = "".join(
        RECORD.format(
            ip=f"10.0.{i % 12}.{(number * 7 + i) % 250}",
            count=i,
            dkim="pass",
            spf="pass",
            domain=domain,
            selector=f"s{i % 20}",
        )
        for i in range(RECORDS)
    )
    begin = YESTERDAY - number % 3 * 86_400
    text = REPORT.format(
        org=f"r{number % 15}.example",
        report_id=f"b{number}",
        begin=begin,
        end=begin + 86_399,
        domain=domain,
        records=records,
    )
    return files.store(account_id, text.encode(), received_via="http").file.id


@contextmanager
def _counting(is_counted: bool) -> Iterator[None]:
    """Run unchanged with ``is_counted``; otherwise store reports without rollups."""
    later = rollup_queue.enqueue
    if not is_counted:
        rollup_queue.enqueue = lambda *_: None
    try:
        yield
    finally:
        rollup_queue.enqueue = later

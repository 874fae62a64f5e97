"""Every report counts exactly once although processes are killed."""

import gzip
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from sqlalchemy import func, select, text

from app.db.transactions import transaction
from app.models import DmarcHour, DmarcRecord, DmarcReport, ReportFile
from app.services.ingest import tokens
from app.services.rollups import rollup_queue
from tests.e2e.service import Service, wait_for
from tests.support.factories import ACTOR, make_domain
from tests.support.report_documents import dmarc_xml, record
from tests.support.servers import Server

CLIENTS = 4
PATIENCE_SECONDS = 120.0  # of a sender: mail services try much longer


def kill_everything(
    service: Service, redis: Server, account_id: UUID, count: int, rounds: int
) -> str:
    """Every acknowledged report is stored once, whatever is killed in the meantime.

    Each report is sent twice, in two wrappings; a sender tries again until it is acknowledged.
    """
    domain = make_domain(account_id, "d0.test")
    address = f"/ingest/{tokens.create(account_id, actor=ACTOR).token}"
    documents = [
        dmarc_xml("d0.test", f"r{number}", records=[record("d0.test", count=number + 1)])
        for number in range(count)
    ]
    files = [raw for document in documents for raw in (document, gzip.compress(document, mtime=0))]
    with ThreadPoolExecutor(CLIENTS) as pool:
        sending = [pool.submit(_send, service, address, raw) for raw in files]
        # Not in a thread: what a thread has started ends with it.
        killed = _kill(service, redis, rounds, lambda: all(future.done() for future in sending))
        tries = [future.result() for future in sending]
    wait_for(lambda: not _states(account_id)["received"], "the reports", 300)
    assert _states(account_id) == {"parsed": count, "duplicate": count}, _states(account_id)
    _assert_counted_once(domain.id, count)
    posts = f"{2 * count} files of {count} reports, {sum(tries)} posts, {killed} kills"
    return f"{posts}: each counted once"


def _send(service: Service, address: str, raw: bytes) -> int:
    """Return the number of attempts until the report was acknowledged."""
    until = time.monotonic() + PATIENCE_SECONDS
    tries = 1
    while (answer := service.call("POST", address, body=raw)).status not in (200, 202):
        assert answer.status in (0, 500, 503), answer
        assert time.monotonic() < until, "never acknowledged"
        tries += 1
        time.sleep(0.2)
    return tries


def _kill(service: Service, redis: Server, rounds: int, is_over: Callable[[], bool]) -> int:
    """Kill processes of each kind until the drill ends; return the number of kills."""

    def restart_redis() -> None:
        redis.kill()
        time.sleep(1)
        redis.restart()

    victims: tuple[Callable[[], object], ...] = (
        lambda: service.kill_below("worker"),
        lambda: service.kill_below("web"),
        _end_connections,
        restart_redis,
    )
    for number in range(rounds):
        time.sleep(1.5)
        if is_over():
            return number
        victims[number % len(victims)]()
    return rounds


def _end_connections() -> None:
    """Close the PostgreSQL connections of every process; SQLite has none."""
    with transaction() as session:
        if session.get_bind().dialect.name == "postgresql":
            session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )


def _states(account_id: UUID) -> Counter[str]:
    with transaction(readonly=True) as session:
        return Counter(
            session.scalars(select(ReportFile.status).where(ReportFile.account_id == account_id))
        )


def _assert_counted_once(domain_id: UUID, count: int) -> None:
    expected = count * (count + 1) // 2
    rollup_queue.drain_domains([domain_id])
    with transaction(readonly=True) as session:
        reports = session.scalar(
            select(func.count()).select_from(DmarcReport).where(DmarcReport.domain_id == domain_id)
        )
        messages = session.scalar(
            select(func.sum(DmarcRecord.count)).where(DmarcRecord.domain_id == domain_id)
        )
        rolled_up = session.scalar(
            select(func.sum(DmarcHour.messages)).where(DmarcHour.domain_id == domain_id)
        )
    assert (reports, messages, rolled_up) == (count, expected, expected)

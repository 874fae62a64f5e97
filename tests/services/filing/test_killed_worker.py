"""A worker that is killed while it stores a report leaves no part of it, and it is read again."""

import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from app.db.transactions import now, transaction
from app.models import DmarcHour, DmarcRecord, DmarcReport, FlowCount, ReportFile, RollupQueueEntry
from app.services.filing import processor
from app.services.ingest import files
from app.services.rollups import rollup_queue
from app.settings import Settings
from tests.support.factories import make_account, make_domain
from tests.support.report_documents import dmarc_xml, record

RECORDS = 5_500  # several batches of rows
PROCESS = """
import os, signal, sys
from uuid import UUID
from sqlalchemy import event
from sqlalchemy.engine import Engine
from app import runtime
from app.services.filing import processor
from app.services.rollups import rollup_queue
from app.settings import Settings

@event.listens_for(Engine, "after_cursor_execute")
def end(connection, cursor, statement, parameters, context, executemany):
    if sys.argv[2] in statement:
        os.kill(os.getpid(), signal.SIGKILL)

runtime.start(Settings())
processor.run([UUID(sys.argv[1])])
rollup_queue.drain()
"""


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("statement", "stored"),
    [
        ("INSERT INTO dmarc_reports", 0),
        ("INSERT INTO rollup_queue", 0),  # the records are inserted before
        ("FROM dmarc_records", RECORDS),  # they are counted for the rollups
        ("INSERT INTO dmarc_flows", RECORDS),
        ("INSERT INTO dmarc_flow_counts", RECORDS),
        ("DELETE FROM rollup_queue", RECORDS),
    ],
)
def test_killed_worker_leaves_all_or_nothing(
    settings: Settings, statement: str, stored: int
) -> None:
    account_id = make_account().id
    make_domain(account_id, "acme.test")
    raw = dmarc_xml(records=[record(ip=address(number), count=1) for number in range(RECORDS)])
    file_id = files.store(account_id, raw, received_via="http").file.id
    environment = {
        **os.environ,
        "SECRET_KEY": settings.secret_key,
        "ALLOWED_HOSTS": ",".join(settings.allowed_hosts),
        "ALLOW_SPECIAL_USE_NAMES": "on",
        "DOMAIN_VERIFICATION": "off",
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
    }
    killed = subprocess.run(
        [sys.executable, "-c", PROCESS, str(file_id), statement], env=environment, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert counts() == (bool(stored), stored, 0, bool(stored))
    expire_lease()
    processor.requeue_stale()
    processor.run([file_id])
    rollup_queue.drain()
    assert counts() == (1, RECORDS, RECORDS, 0)
    with transaction(readonly=True) as session:
        assert session.get_one(ReportFile, file_id).status == "parsed"


def address(number: int) -> str:
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def counts() -> tuple[int, int, int, int]:
    """The numbers of reports, records, messages in the figures, and reports to roll up."""
    with transaction(readonly=True) as session:
        by_flow = session.scalar(select(func.sum(FlowCount.messages))) or 0
        assert (session.scalar(select(func.sum(DmarcHour.messages))) or 0) == by_flow
        reports, records, waiting = (
            session.scalar(select(func.count()).select_from(table)) or 0
            for table in (DmarcReport, DmarcRecord, RollupQueueEntry)
        )
    return reports, records, int(by_flow), waiting


def expire_lease() -> None:
    with transaction() as session:
        is_leased = ReportFile.lease_until.is_not(None)
        past = now(session) - timedelta(seconds=1)
        session.execute(update(ReportFile).where(is_leased).values(lease_until=past))

"""Report file jobs: every file is processed once, even if workers die or jobs are lost."""

import gzip
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy import func, select, update

from app import settings as app_settings
from app.db.transactions import now, transaction
from app.jobs import queue
from app.mailboxes import imap
from app.models import DmarcHour, DmarcRecord, DmarcReport, ReportFile
from app.models.reports import MAX_ATTEMPTS
from app.protocols.report_formats.limits import MIB
from app.services.filing import claims, parsing, processor, retries
from app.services.mailboxes import mailboxes, polling
from app.services.rollups import rollup_queue
from app.settings import Settings
from tests.support.factories import ACTOR, make_account
from tests.support.paths import ROOT
from tests.support.report_documents import dmarc_xml, record
from tests.support.report_file_jobs import jobs, run_jobs, statuses, store_files
from worker import resource_limits

pytestmark = pytest.mark.usefixtures("database")


def reload(report_file_id: UUID) -> ReportFile:
    with transaction(readonly=True) as session:
        return session.get_one(ReportFile, report_file_id)


def make_files_due() -> None:
    """Expire all leases, and make all jobs look old."""
    with transaction() as session:
        past = now(session) - timedelta(hours=1)
        session.execute(update(ReportFile).values(enqueued_at=past))
        held = update(ReportFile).where(ReportFile.lease_until.is_not(None))
        session.execute(held.values(lease_until=past))


def counted() -> tuple[int, int]:
    with transaction(readonly=True) as session:
        reports = session.scalar(select(func.count()).select_from(DmarcReport)) or 0
        return reports, session.scalar(select(func.sum(DmarcRecord.count))) or 0


def several(count: int) -> list[bytes]:
    return [dmarc_xml(report_id=str(number)) for number in range(count)]


def test_stored_file_is_processed(connection: Any, account_id: UUID) -> None:
    store_files(account_id, dmarc_xml())
    run_jobs(connection)
    assert statuses() == {"parsed": 1}


def test_one_job_processes_many_files(connection: Any, account_id: UUID) -> None:
    first, *_ = store_files(account_id, *several(30))
    (job,) = jobs(connection)
    assert (job.func_name, list(job.args)) == ("worker.jobs.process_report_files", [[str(first)]])
    run_jobs(connection)
    assert statuses() == {"parsed": 30}
    assert counted() == (30, 90)


def total_messages() -> int:
    with transaction(readonly=True) as session:
        return session.scalar(select(func.sum(DmarcHour.messages))) or 0


def test_worker_rolls_up_reports_after_the_last_file(connection: Any, account_id: UUID) -> None:
    store_files(account_id, *several(30))
    run_jobs(connection)
    assert total_messages() == 90


def test_worker_rolls_up_reports_periodically_under_load(
    account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "BATCH_FILES", 10)
    monkeypatch.setattr(processor, "ROLLUP_SECONDS", 0.0)
    store_files(account_id, *several(30))
    processor.run([])
    assert total_messages() == 90


def test_reports_of_a_killed_worker_are_rolled_up_by_another(
    connection: Any, account_id: UUID
) -> None:
    store_files(account_id, *several(3))
    connection.flushall()
    processor.run([])
    assert total_messages() == 0
    rollup_queue.enqueue_if_pending()
    run_jobs(connection)
    assert total_messages() == 9


def test_files_are_scheduled_fairly_across_accounts(
    account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "BATCH_FILES", 25)
    flood = store_files(account_id, *several(40))
    others = [make_account().id for _ in range(2)]
    few = [store_files(other, dmarc_xml(report_id=str(n)))[0] for other in others for n in (1, 2)]
    first = [claimed.report_file_id for claimed in claims.claim()]
    assert len(first) == 25
    assert set(few) <= set(first)
    assert set(first) - set(few) == set(flood[:21])
    assert {claimed.report_file_id for claimed in claims.claim()} == set(flood[21:])


def test_mailboxes_are_polled_one_at_a_time_while_no_file_is_queued(
    connection: Any, account_id: UUID
) -> None:
    unreachable = [
        imap.ImapConfig(host="127.0.0.1", port=1, username=name, password="secret")
        for name in ("a", "b")
    ]
    rows = [mailboxes.add(account_id, access, actor=ACTOR) for access in unreachable]
    store_files(account_id, dmarc_xml())
    polling.enqueue_if_due()
    assert [job.func_name for job in jobs(connection)] == ["worker.jobs.process_report_files"]
    run_jobs(connection)
    polling.enqueue_if_due()
    polling.enqueue_if_due()
    (job,) = jobs(connection)
    assert (job.func_name, list(job.args)) == ("worker.jobs.poll_mailbox", [[str(rows[0].id)]])
    assert job.timeout == queue.MAILBOX_JOB_SECONDS
    run_jobs(connection)
    assert [row.failure is not None for row in mailboxes.search(account_id)] == [True, True]


def test_duplicate_job_processes_a_file_once(connection: Any, account_id: UUID) -> None:
    ids = store_files(account_id, dmarc_xml())
    assert queue.enqueue_report_files(ids)
    run_jobs(connection)
    assert counted() == (1, 3)
    assert reload(ids[0]).attempt == 1


def test_lost_job_is_enqueued_again(connection: Any, account_id: UUID) -> None:
    store_files(account_id, *several(3))
    connection.flushall()
    assert processor.requeue_stale() == 0
    make_files_due()
    assert processor.requeue_stale() == 3
    run_jobs(connection)
    assert statuses() == {"parsed": 3}


def test_files_in_the_queue_of_the_previous_version_are_enqueued_again(
    connection: Any, account_id: UUID
) -> None:
    report_file_ids = store_files(account_id, *several(3))
    connection.flushall()  # only the queue of the previous version has the job
    former = Queue("intake", connection=connection, serializer=JSONSerializer)
    former.enqueue("worker.jobs.process_report_files", [str(id) for id in report_file_ids])
    make_files_due()
    assert processor.requeue_stale() == 3
    run_jobs(connection)
    assert statuses() == {"parsed": 3}


def test_file_stored_without_redis_is_processed_later(
    account_id: UUID, redis_url: str, connection: Any
) -> None:
    queue.bind("redis://127.0.0.1:1/0")
    store_files(account_id, *several(3))
    queue.bind(redis_url)
    make_files_due()
    processor.requeue_stale()
    run_jobs(connection)
    assert statuses() == {"parsed": 3}


def test_files_of_a_killed_worker_are_processed_by_another(
    connection: Any, account_id: UUID
) -> None:
    ids = store_files(account_id, *several(3))
    assert len(claims.claim(ids)) == 3
    connection.flushall()  # the worker is gone, and its job with it
    assert claims.claim(ids) == []
    make_files_due()
    assert processor.requeue_stale() == 3
    # Each alone: one of them may be what killed the worker.
    assert sorted(map(len, (job.args[0] for job in jobs(connection)))) == [1, 1, 1]
    run_jobs(connection)
    assert statuses() == {"parsed": 3}
    assert counted() == (3, 9)


def test_file_that_kills_workers_is_rejected(connection: Any, account_id: UUID) -> None:
    (poison,) = store_files(account_id, dmarc_xml())
    for _ in range(MAX_ATTEMPTS):
        assert len(claims.claim([poison])) == 1
        make_files_due()
        processor.requeue_stale()
    ended = reload(poison)
    assert (ended.status, ended.reason) == ("rejected", "internal")
    assert ended.detail
    assert retries.retry(reason="internal") == 1
    run_jobs(connection)
    assert reload(poison).status == "parsed"


def test_attempt_without_lease_writes_nothing(account_id: UUID) -> None:
    (report_file_id,) = store_files(account_id, dmarc_xml())
    (first,) = claims.claim([report_file_id])
    make_files_due()
    processor.requeue_stale()
    (second,) = claims.claim([report_file_id])
    reports = parsing.read(dmarc_xml(), "", int(time.time()))
    processor.store_results([processor.ParsedFile(first, reports)])
    assert (statuses(), counted()[0]) == ({"received": 1}, 0)
    processor.store_results([processor.ParsedFile(second, reports)])
    processor.store_results([processor.ParsedFile(second, reports)])
    assert (statuses(), counted()) == ({"parsed": 1}, (1, 3))


def test_stopped_worker_releases_unstarted_files(connection: Any, account_id: UUID) -> None:
    ids = store_files(account_id, *several(10))
    answers = iter([False, False, False, *[True] * 20])
    processor.run(ids, is_stopping=lambda: next(answers))
    assert statuses() == {"parsed": 2, "received": 8}
    with transaction(readonly=True) as session:
        waiting = session.execute(
            select(ReportFile.attempt, ReportFile.lease_until).where(
                ReportFile.status == "received"
            )
        ).all()
    assert {tuple(row) for row in waiting} == {(0, None)}
    run_jobs(connection)
    assert statuses() == {"parsed": 10}


def test_parser_error_affects_only_one_file(
    account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = parsing.read

    def read(raw: bytes, *arguments: Any) -> Sequence[parsing.ParsedReport]:
        if b"cursed" in raw:
            raise ZeroDivisionError
        return real(raw, *arguments)

    monkeypatch.setattr(processor, "read", read)
    _, failing, _ = store_files(
        account_id, dmarc_xml(), dmarc_xml(report_id="cursed"), dmarc_xml(report_id="r3")
    )
    for _ in range(MAX_ATTEMPTS + 1):
        processor.run([failing])
        make_files_due()
        processor.requeue_stale()
    assert statuses() == {"parsed": 2, "rejected": 1}
    assert reload(failing).reason == "internal"


def test_storage_error_affects_only_one_file(
    account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = parsing.read

    def read(raw: bytes, *arguments: Any) -> Sequence[parsing.ParsedReport]:
        reports = real(raw, *arguments)
        if b"cursed" in raw:
            assert reports[0].report is not None
            object.__setattr__(reports[0].report, "report_id", None)  # nothing can be filed so
        return reports

    monkeypatch.setattr(processor, "read", read)
    ids = store_files(account_id, dmarc_xml(report_id="cursed"), *several(3))
    processor.run([])
    assert statuses() == {"parsed": 3, "received": 1}
    assert reload(ids[0]).attempt == 1


def busy(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_cpu_limit_of_one_file_is_enforced(settings: Settings) -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    app_settings.use(settings.replace(ingest_cpu_seconds=1))
    with pytest.raises(TimeoutError), resource_limits.one_file(MIB):
        busy(20)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    with resource_limits.one_file(MIB):
        busy(0.01)


def test_cpu_time_of_earlier_files_does_not_count(settings: Settings) -> None:
    app_settings.use(settings.replace(ingest_cpu_seconds=1))
    for _ in range(2):
        with pytest.raises(TimeoutError), resource_limits.one_file(MIB):
            busy(20)
        with resource_limits.one_file(MIB):
            signal.raise_signal(signal.SIGPROF)  # as when the kernel is late with the first
            busy(0.9)


def test_memory_limit_of_one_file_is_enforced(settings: Settings) -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    app_settings.use(settings.replace(ingest_memory_bytes=50_000_000))
    with resource_limits.one_file(MIB):
        bytearray(20_000_000)
    with pytest.raises(MemoryError), resource_limits.one_file(MIB):
        bytearray(100_000_000)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    bytearray(100_000_000)


_FRESH = """
from redis import Redis
from rq.serializers import JSONSerializer
from rq.worker import SimpleWorker
from app import runtime
from app.jobs import queue
from app.settings import Settings
from worker.rq_worker import AllowedJob
settings = Settings.load()
runtime.start(settings)
connection = Redis.from_url(settings.redis_url)
options = {"serializer": JSONSerializer, "job_class": AllowedJob}
SimpleWorker([queue.INGEST], connection=connection, **options).work(burst=True)
"""


def run_in_new_worker(settings: Settings, redis_url: str, **variables: str) -> None:
    """Run the queued jobs in a process with a fresh heap."""
    environ = {
        "SECRET_KEY": settings.secret_key,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": redis_url,
        "DOMAIN_VERIFICATION": settings.domain_verification,
        **variables,
    }
    subprocess.run([sys.executable, "-c", _FRESH], env=environ, check=True, cwd=ROOT)


def test_file_over_a_limit_is_rejected_and_others_are_processed(
    settings: Settings, connection: Any, redis_url: str, account_id: UUID
) -> None:
    remarks = "".join(f"<!-- {os.urandom(20).hex()} -->{' ' * 4000}" for _ in range(10_000))
    raw = gzip.compress(dmarc_xml(report_id="large", records=[remarks + record()]), 1)
    large, small = store_files(account_id, raw, dmarc_xml())
    run_in_new_worker(settings, redis_url, INGEST_MEMORY_BYTES="8000000")
    assert reload(small).status == "parsed"
    ended = reload(large)
    assert (ended.status, ended.reason) == ("rejected", "too_large")
    assert retries.retry(large) == 1
    run_in_new_worker(settings, redis_url)
    assert reload(large).status == "parsed"
    assert counted() == (2, 6)

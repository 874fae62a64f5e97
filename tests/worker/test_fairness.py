"""Mailboxes and report alerts are not starved by report files."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from app.db.transactions import now, transaction
from app.jobs import queue
from app.mailboxes import imap
from app.models import Domain, ReportMailbox, ReportMonitor
from app.services.mailboxes import mailboxes, polling
from app.services.monitoring import report_monitor
from tests.support.factories import ACTOR
from tests.support.report_documents import dmarc_xml
from tests.support.report_file_jobs import jobs, run_jobs, statuses, store_files

pytestmark = pytest.mark.usefixtures("database")

READ, PULL = "worker.jobs.process_report_files", "worker.jobs.poll_mailbox"
EVALUATE_REPORTS = "worker.jobs.evaluate_reports"


def names(connection: Any) -> list[str]:
    return [job.func_name for job in jobs(connection)]


def due_since(account_id: UUID, *users: str, minutes: int = 2) -> None:
    """Add mailboxes of an unreachable server that are due, the first one for the longest time."""
    for seconds, user in enumerate(users):
        access = imap.ImapConfig(host="127.0.0.1", port=1, username=user, password="secret")
        mailbox_id = mailboxes.add(account_id, access, actor=ACTOR).id
        with transaction() as session:
            since = now(session) - timedelta(minutes=minutes) + timedelta(seconds=seconds)
            session.get_one(ReportMailbox, mailbox_id).next_at = since


def pulled(account_id: UUID) -> list[bool]:
    return [row.failure is not None for row in mailboxes.search(account_id)]


def test_overdue_mailbox_is_polled_before_queued_files(connection: Any, account_id: UUID) -> None:
    due_since(account_id, "a")
    store_files(account_id, dmarc_xml())
    polling.enqueue_if_due()
    polling.enqueue_if_due()  # once is enough
    assert names(connection) == [PULL, READ]
    run_jobs(connection)
    assert (pulled(account_id), statuses()) == ([True], {"parsed": 1})


def test_mailbox_that_is_just_due_waits_for_queued_files(connection: Any, account_id: UUID) -> None:
    due_since(account_id, "a", minutes=0)
    store_files(account_id, dmarc_xml())
    polling.enqueue_if_due()
    assert names(connection) == [READ]


def test_one_job_polls_all_due_mailboxes(connection: Any, account_id: UUID) -> None:
    due_since(account_id, "a", "b", "c")
    store_files(account_id, dmarc_xml())
    polling.enqueue_if_due()
    run_jobs(connection)
    assert pulled(account_id) == [True, True, True]


def test_files_are_processed_although_mailboxes_are_due(
    connection: Any, account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "POLL_SECONDS", -1.0)  # all of a turn goes to one
    due_since(account_id, "a", "b")
    store_files(account_id, dmarc_xml())
    polling.enqueue_if_due()
    [pull, _] = jobs(connection)
    pull.perform()
    pull.delete()
    polling.enqueue_if_due()
    assert (names(connection), pulled(account_id)) == ([READ], [True, False])
    run_jobs(connection)
    polling.enqueue_if_due()  # no file waits
    assert names(connection) == [PULL]


@pytest.mark.parametrize(("minutes", "expected"), [(1, [READ]), (20, [EVALUATE_REPORTS, READ])])
def test_overdue_domains_are_evaluated_although_files_are_queued(
    connection: Any, account_id: UUID, minutes: int, expected: list[str]
) -> None:
    with transaction() as session:
        session.execute(update(Domain).values(verified_at=now(session)))
    report_monitor.enqueue_if_due()
    connection.flushall()
    store_files(account_id, dmarc_xml())
    with transaction() as session:
        since = now(session) - timedelta(minutes=minutes)
        session.execute(update(ReportMonitor).values(due_at=since))
    report_monitor.enqueue_if_due()
    report_monitor.enqueue_if_due()
    assert names(connection) == expected
    run_jobs(connection)
    assert queue.is_idle(queue.INGEST)

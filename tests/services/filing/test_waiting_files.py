"""The metric about the oldest pending report file."""

import itertools
from datetime import timedelta

import pytest
from sqlalchemy import delete, select

from app.db import transactions
from app.db.transactions import transaction
from app.models import RawFile, ReportFile
from app.services.filing import processor, retries
from app.services.ingest import files
from app.services.operations import backlog
from tests.support.factories import make_account
from tests.support.report_documents import dmarc_xml

pytestmark = pytest.mark.usefixtures("database")


def pending_seconds() -> float:
    """The age of the oldest pending file in seconds."""
    with transaction(readonly=True) as session:
        at = transactions.now(session)
        ages = {item.work: item.seconds(at) for item in backlog.read(session, at)}
    return ages["report_files"]


def age(by: timedelta) -> None:
    """Make all files older."""
    with transaction() as session:
        for report_file in session.scalars(select(ReportFile)):
            report_file.received_at -= by
            report_file.enqueued_at -= by
            if report_file.retried_at:
                report_file.retried_at -= by


def test_retried_file_is_pending_since_the_retry() -> None:
    report_file = files.store(make_account().id, dmarc_xml(), received_via="http").file
    processor.run([report_file.id])  # no account has the domain
    assert pending_seconds() == 0
    age(timedelta(days=9))
    assert retries.retry(report_file.id) == 1
    assert pending_seconds() < 600
    age(timedelta(hours=1))
    processor.requeue_stale()  # another job does not reset its age
    assert 3600 <= pending_seconds() < 7200


def test_released_file_is_pending_since_it_was_received() -> None:
    files.store(make_account().id, dmarc_xml(), received_via="http")
    age(timedelta(hours=1))
    answers = itertools.chain([False], itertools.repeat(True))
    processor.run([], is_stopping=lambda: next(answers))
    assert pending_seconds() >= 3600


def test_file_that_is_received_again_is_pending_since_then() -> None:
    account_id = make_account().id
    report_file = files.store(account_id, dmarc_xml(), received_via="http").file
    processor.run([report_file.id])
    age(timedelta(days=40))
    with transaction() as session:
        session.execute(delete(RawFile))
    assert not files.store(account_id, dmarc_xml(), received_via="http").is_new
    assert pending_seconds() < 600

"""How long files wait to be read, as monitoring is told."""

import itertools
from datetime import timedelta

import pytest
from sqlalchemy import delete, select

from app.db.transactions import transaction
from app.models import RawFile, ReportFile
from app.services.ingest import files, processor
from app.services.operations.metrics import ServiceCollector
from tests.support.factories import make_account
from tests.support.report_documents import dmarc_xml

pytestmark = pytest.mark.usefixtures("database")


def waited() -> float:
    """The age of the oldest file that waits."""
    metrics = {metric.name: metric.samples for metric in ServiceCollector().collect()}
    return metrics["mailwatch_report_file_oldest_received_seconds"][0].value


def age(by: timedelta) -> None:
    """Let time pass for the files."""
    with transaction() as session:
        for report_file in session.scalars(select(ReportFile)):
            report_file.received_at -= by
            report_file.enqueued_at -= by
            if report_file.retried_at:
                report_file.retried_at -= by


def test_a_file_that_is_read_again_waits_since_that_was_asked() -> None:
    report_file = files.store(make_account().id, dmarc_xml(), received_via="http").file
    processor.run([report_file.id])  # it is about nobody's domain
    assert waited() == 0
    age(timedelta(days=9))
    assert files.retry(report_file.id) == 1
    assert waited() < 600
    age(timedelta(hours=1))
    processor.requeue_stale()  # that it is rung for again does not make it younger
    assert 3600 <= waited() < 7200


def test_a_file_that_is_given_back_waits_since_it_came() -> None:
    files.store(make_account().id, dmarc_xml(), received_via="http")
    age(timedelta(hours=1))
    answers = itertools.chain([False], itertools.repeat(True))
    processor.run([], is_stopping=lambda: next(answers))
    assert waited() >= 3600


def test_the_same_bytes_again_wait_since_they_came_again() -> None:
    account_id = make_account().id
    report_file = files.store(account_id, dmarc_xml(), received_via="http").file
    processor.run([report_file.id])
    age(timedelta(days=40))
    with transaction() as session:
        session.execute(delete(RawFile))
    assert not files.store(account_id, dmarc_xml(), received_via="http").is_new
    assert waited() < 600

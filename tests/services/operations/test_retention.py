"""Retention of bytes, file rows and failure reports."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select, update

from app import settings as app_settings
from app.db.transactions import now, transaction
from app.models import DmarcReport, FailureReport, RawFile, ReportFile
from app.services.core import account_rows
from app.services.filing import processor, retries
from app.services.ingest import files
from app.services.operations import retention
from app.settings import Settings
from tests.support.factories import make_account, make_domain
from tests.support.report_documents import dmarc_xml, failure_mail

pytestmark = pytest.mark.usefixtures("database")

PARSED, REJECTED = dmarc_xml(), b"hello"
UNATTRIBUTED, WAITING = dmarc_xml("other.test"), dmarc_xml(report_id="r2")


@pytest.fixture
def account_id() -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test")
    for raw in (PARSED, REJECTED, UNATTRIBUTED):
        files.store(account.id, raw, received_via="upload")
    processor.run([])
    files.store(account.id, WAITING, received_via="upload")
    return account.id


def left_after(days: int) -> set[bytes]:
    """The statuses of files that have bytes after this number of days."""
    with transaction() as session:
        then = now(session) - timedelta(days=days)
        session.execute(update(RawFile).values(created_at=then))
    retention.run()
    with transaction(readonly=True) as session:
        return set(session.scalars(select(RawFile.content)))


def test_retention_of_bytes_depends_on_the_file_status(account_id: UUID) -> None:
    assert left_after(6) == {PARSED, REJECTED, UNATTRIBUTED, WAITING}
    assert left_after(8) == {REJECTED, UNATTRIBUTED, WAITING}
    assert left_after(29) == {REJECTED, UNATTRIBUTED, WAITING}
    assert left_after(31) == {WAITING}
    assert left_after(400) == {WAITING}


def remaining_statuses_after(days: int) -> set[str]:
    """The statuses of file rows that exist after this number of days."""
    with transaction() as session:
        then = now(session) - timedelta(days=days)
        session.execute(update(RawFile).values(created_at=then))
        session.execute(update(ReportFile).values(received_at=then))
        ended = update(ReportFile).where(ReportFile.finished_at.is_not(None))
        session.execute(ended.values(finished_at=then))
    retention.run()
    with transaction(readonly=True) as session:
        return set(session.scalars(select(ReportFile.status)))


def test_file_row_is_kept_as_long_as_its_report(
    account_id: UUID,
) -> None:
    everything = {"parsed", "rejected", "unattributed", "received"}
    assert remaining_statuses_after(179) == everything
    assert remaining_statuses_after(181) == {"parsed", "received"}
    with transaction() as session:
        session.execute(delete(DmarcReport))
    assert remaining_statuses_after(181) == {"received"}


def test_file_row_with_bytes_is_not_deleted(account_id: UUID, settings: Settings) -> None:
    app_settings.use(settings.replace(raw_retention_days=1_000))
    assert remaining_statuses_after(400) == {"parsed", "rejected", "unattributed", "received"}


def test_many_old_rows_are_all_deleted(account_id: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_rows, "BATCH_SIZE", 1)
    assert remaining_statuses_after(400) == {"parsed", "received"}


def test_rows_are_kept_when_bytes_are_deleted(account_id: UUID) -> None:
    left_after(400)
    with transaction(readonly=True) as session:
        assert session.scalar(select(func.count()).select_from(ReportFile)) == 4
        assert session.scalar(select(func.count()).select_from(DmarcReport)) == 1


def test_file_without_bytes_is_not_retried(account_id: UUID) -> None:
    left_after(31)
    assert retries.retry(reason="no_verified_domain") == 0


def test_bytes_that_are_received_again_are_processed(account_id: UUID) -> None:
    left_after(31)
    stored_file = files.store(account_id, UNATTRIBUTED, received_via="http")
    assert (stored_file.is_new, stored_file.file.status) == (False, "received")
    make_domain(account_id, "other.test")
    processor.run([])
    assert files.store(account_id, UNATTRIBUTED, received_via="http").file.status == "parsed"


def test_failure_reports_are_kept_redacted_and_briefly(
    account_id: UUID,
) -> None:
    raw = failure_mail()
    files.store(account_id, raw, received_via="http")
    assert raw in left_after(0)
    processor.run([])
    assert raw not in left_after(0)
    for days, count in ((29, 1), (31, 0)):
        with transaction() as session:
            then = now(session) - timedelta(days=days)
            session.execute(update(FailureReport).values(received_at=then))
        retention.run()
        with transaction(readonly=True) as session:
            assert session.scalar(select(func.count()).select_from(FailureReport)) == count

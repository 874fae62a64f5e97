"""The lifecycles of scans, report files, reports and alerts in the log."""

import logging
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import update

from app.db.transactions import now, transaction
from app.models import DmarcReport, ReportFile, Scan
from app.models.reports import MAX_ATTEMPTS as MAX_FILE_ATTEMPTS
from app.models.scans import MAX_ATTEMPTS as MAX_SCAN_ATTEMPTS
from app.services.alerts import alerts
from app.services.alerts.alerts import AlertChange
from app.services.core import lifecycle_log
from app.services.core.lifecycle_log import Lifecycle
from app.services.filing import claims as file_claims
from app.services.filing import processor
from app.services.ingest import files
from app.services.scans import claims as scan_claims
from app.services.scans import runner, scans
from tests.support.factories import ACTOR, make_account, make_domain, make_scan
from tests.support.lifecycle_lines import events, lines
from tests.support.report_documents import dmarc_xml, record
from tests.support.zones import Zone, ZoneNetwork

pytestmark = pytest.mark.usefixtures("database")

IN_THE_PAST = timedelta(hours=1)


@pytest.fixture
def account_id(caplog: pytest.LogCaptureFixture) -> UUID:
    account_id = make_account().id
    make_domain(account_id, "acme.test", schedule="off")
    caplog.set_level(logging.INFO)
    caplog.clear()
    return account_id


def process(account_id: UUID, raw: bytes, received_via: str = "upload") -> UUID:
    file_id = files.store(account_id, raw, received_via=received_via).file.id
    processor.run([file_id])
    return file_id


def expire(table: type[Scan] | type[ReportFile]) -> None:
    with transaction() as session:
        session.execute(update(table).values(lease_until=now(session) - IN_THE_PAST))


def test_a_scan_is_queued_started_and_completed_and_opens_alerts(
    account_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    scan = make_scan(account_id, "acme.test")
    runner.run([scan.id], ZoneNetwork(Zone({"acme.test": ["v=spf1 +all"]})))
    assert events(caplog, "scan.") == ["scan.queued", "scan.started", "scan.completed"]
    for line in lines(caplog):
        assert line["account_id"] == str(account_id)
        assert line["domain_id"] == str(scan.domain_id)
        if line["event"].startswith("scan."):
            assert line["scan_id"] == str(scan.id)
    (opened,) = [line for line in lines(caplog) if line.get("alert_type") == "spf.all_pass"]
    assert opened["event"] == "alert.opened"
    assert UUID(opened["alert_id"])


def test_a_scan_of_killed_workers_is_requeued_and_fails(
    account_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    scan = make_scan(account_id, "acme.test")
    for _ in range(MAX_SCAN_ATTEMPTS):
        scan_claims.claim([scan.id])
        expire(Scan)
        runner.requeue_stale()
    attempts = ["scan.started", "scan.requeued"] * MAX_SCAN_ATTEMPTS
    assert events(caplog, "scan.") == ["scan.queued", *attempts[:-1], "scan.failed"]


def test_a_scan_is_cancelled(account_id: UUID, caplog: pytest.LogCaptureFixture) -> None:
    scan = make_scan(account_id, "acme.test")
    scans.cancel(account_id, scan.id)
    assert events(caplog, "scan.") == ["scan.queued", "scan.cancelled"]


def test_a_released_scan_is_requeued(account_id: UUID, caplog: pytest.LogCaptureFixture) -> None:
    scan = make_scan(account_id, "acme.test")
    scan_claims.release(scan_claims.claim([scan.id]))
    assert events(caplog, "scan.") == ["scan.queued", "scan.started", "scan.requeued"]


def test_a_report_file_is_received_and_parsed_and_its_report_is_stored(
    account_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    file_id = process(account_id, dmarc_xml())
    assert events(caplog) == ["report_file.received", "report.stored", "report_file.parsed"]
    _, stored, parsed = lines(caplog)
    assert stored["report_file_id"] == parsed["report_file_id"] == str(file_id)
    with transaction(readonly=True) as session:
        report = session.query(DmarcReport).one()
    assert stored["report_id"] == parsed["report_id"] == str(report.id)
    assert parsed["kind"] == "dmarc"


def test_a_report_file_ends_as_a_duplicate_rejected_or_unattributed(
    account_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    process(account_id, dmarc_xml())
    caplog.clear()
    process(account_id, dmarc_xml() + b"\n")
    process(account_id, b"no report")
    process(account_id, dmarc_xml(domain="stranger.test"))
    assert [name for name in events(caplog) if name != "report_file.received"] == [
        "report_file.duplicate",
        "report_file.rejected",
        "report_file.unattributed",
    ]
    (rejected,) = [line for line in lines(caplog) if line["event"] == "report_file.rejected"]
    assert rejected["reason"]


def test_a_report_file_that_kills_its_workers_is_requeued_and_rejected(
    account_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    file_id = files.store(account_id, dmarc_xml(), received_via="http").file.id
    for _ in range(MAX_FILE_ATTEMPTS):
        file_claims.claim([file_id])
        expire(ReportFile)
        processor.requeue_stale()
    assert events(caplog)[1:] == [
        *["report_file.requeued"] * (MAX_FILE_ATTEMPTS - 1),
        "report_file.rejected",
    ]


def test_a_report_that_proves_more_replaces_another(
    account_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    process(account_id, dmarc_xml(), "http")
    caplog.clear()
    process(account_id, dmarc_xml() + b"\n", "upload")
    assert events(caplog, "report.") == ["report.stored", "report.replaced"]


def test_a_report_with_records_that_cannot_be_read_is_partial(
    account_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    process(account_id, dmarc_xml(records=[record(), record(ip="none"), record(count="many")]))
    assert events(caplog, "report.") == ["report.stored", "report.partial"]
    (partial,) = [line for line in lines(caplog) if line["event"] == "report.partial"]
    assert partial["skipped_reasons"] == {"bad_source_ip": 1, "bad_number": 1}


def test_an_alert_is_acknowledged_and_resolved(
    account_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    scan = make_scan(account_id, "acme.test")
    runner.run([scan.id], ZoneNetwork(Zone({"acme.test": ["v=spf1 +all"]})))
    (opened,) = [line for line in lines(caplog) if line.get("alert_type") == "spf.all_pass"]
    caplog.clear()
    alert_id = UUID(opened["alert_id"])
    for status in ("acknowledged", "resolved"):
        alerts.change(account_id, alert_id, AlertChange(status), actor=ACTOR)
    assert events(caplog) == ["alert.acknowledged", "alert.resolved"]


def test_nothing_is_logged_before_the_commit(
    account_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    with transaction() as session:
        lifecycle_log.record(session, Lifecycle.SCAN_QUEUED, account_id=account_id)
        assert events(caplog) == []
    assert events(caplog) == ["scan.queued"]

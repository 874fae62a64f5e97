"""Reports with records that cannot be read: what is stored, and which of several reports counts."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.engine import Engine

from app import ids
from app.db.transactions import now, transaction
from app.errors import Conflict
from app.models import (
    DmarcHour,
    DmarcRecord,
    DmarcReport,
    RawFile,
    ReportFile,
    TlsPolicy,
    TlsReport,
)
from app.services.filing import conflicts, processor, retries
from app.services.ingest import files
from app.services.operations import retention
from app.services.reports import report_files
from app.services.rollups import rollup_queue
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.report_documents import dmarc_xml, record, tls_json

GOOD, ALSO_GOOD = record(count=50), record(ip="192.0.2.7", count=20)
BAD = record(ip="no address", count=7)
FIXED = record(ip="192.0.2.9", count=7)
PARTIAL = dmarc_xml(records=[GOOD, BAD, ALSO_GOOD])
COMPLETE = dmarc_xml(records=[GOOD, FIXED, ALSO_GOOD])
OTHER = dmarc_xml(records=[GOOD, FIXED, record(ip="192.0.2.7", count=21)])


@pytest.fixture
def account_id(database: Engine) -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test")
    return account.id


def take(account_id: UUID, raw: bytes, received_via: str = "http") -> UUID:
    taken = files.store(account_id, raw, received_via=received_via).file
    processor.run([taken.id])
    return taken.id


def states(*report_file_ids: UUID) -> list[str]:
    with transaction(readonly=True) as session:
        return [session.get_one(ReportFile, id).status for id in report_file_ids]


def figures() -> tuple[int, int, int, int]:
    """The messages in the rollups and in the records, of the report, and skipped."""
    rollup_queue.drain()
    with transaction(readonly=True) as session:
        counted = session.scalar(select(func.sum(DmarcHour.messages))) or 0
        recorded = session.scalar(select(func.sum(DmarcRecord.count))) or 0
        report = session.scalars(select(DmarcReport)).one()
        return int(counted), int(recorded), report.messages, report.skipped_messages


def tls_policies(*policies: dict[str, Any]) -> bytes:
    document = json.loads(tls_json())
    document["policies"] = policies
    return json.dumps(document).encode()


def policy(successful: Any, domain: str = "acme.test") -> dict[str, Any]:
    return {
        "policy": {"policy-type": "sts", "policy-domain": domain},
        "summary": {
            "total-successful-session-count": successful,
            "total-failure-session-count": 0,
        },
    }


TLS_PARTIAL = tls_policies(policy(40), policy(9, "not a domain!"))
TLS_COMPLETE = tls_policies(policy(40), policy(9, "mx.acme.test"))


def test_a_partial_aggregate_report_says_what_was_skipped(account_id: UUID) -> None:
    take(account_id, PARTIAL)
    assert figures() == (70, 70, 70, 7)
    with transaction(readonly=True) as session:
        report = session.scalars(select(DmarcReport)).one()
    assert (report.record_count, report.skipped_count) == (2, 1)
    assert report.skipped_reasons == {"bad_source_ip": 1}


def test_a_complete_report_has_nothing_skipped(account_id: UUID) -> None:
    take(account_id, COMPLETE)
    take(account_id, TLS_COMPLETE)
    with transaction(readonly=True) as session:
        aggregate = session.scalars(select(DmarcReport)).one()
        tls = session.scalars(select(TlsReport)).one()
    assert (aggregate.skipped_count, aggregate.skipped_reasons) == (0, {})
    assert (tls.skipped_count, tls.skipped_reasons) == (0, {})


def test_a_partial_tls_report_says_what_was_skipped(account_id: UUID) -> None:
    detail = {"result-type": "certificate-expired", "failed-session-count": "many"}
    readable = policy(40) | {"failure-details": [detail]}
    take(account_id, tls_policies(policy(9, "not a domain!"), readable))
    with transaction(readonly=True) as session:
        report = session.scalars(select(TlsReport)).one()
        sessions = session.scalar(select(func.sum(TlsPolicy.successful)))
    assert (report.skipped_count, report.skipped_sessions, sessions) == (2, 9, 40)
    assert report.skipped_failed_sessions == 0
    assert report.skipped_reasons == {"bad_domain": 1, "bad_number": 1}


@pytest.mark.parametrize("received_via", ["http", "upload"])
def test_the_complete_report_replaces_the_partial_one(account_id: UUID, received_via: str) -> None:
    partial = take(account_id, PARTIAL)
    complete = take(account_id, COMPLETE, received_via)
    assert states(partial, complete) == ["duplicate", "parsed"]
    assert figures() == (77, 77, 77, 0)


def test_the_partial_report_repeats_the_complete_one(account_id: UUID) -> None:
    complete, partial = take(account_id, COMPLETE), take(account_id, PARTIAL)
    assert states(complete, partial) == ["parsed", "duplicate"]
    assert figures() == (77, 77, 77, 0)


def test_a_report_that_proves_less_does_not_complete_a_partial_one(account_id: UUID) -> None:
    """Anyone can send a report with further records; a user decides."""
    partial, complete = take(account_id, PARTIAL, "upload"), take(account_id, COMPLETE)
    assert states(partial, complete) == ["parsed", "conflict"]
    assert figures() == (70, 70, 70, 7)
    conflicts.use(account_id, complete, actor=ACTOR)
    processor.run([])
    assert states(partial, complete) == ["conflict", "parsed"]
    assert figures() == (77, 77, 77, 0)


def test_a_partial_report_that_proves_more_does_not_replace_the_complete_one(
    account_id: UUID,
) -> None:
    complete, partial = take(account_id, COMPLETE), take(account_id, PARTIAL, "upload")
    assert states(complete, partial) == ["parsed", "conflict"]
    assert figures() == (77, 77, 77, 0)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(OTHER, id="another record has another count"),
        pytest.param(dmarc_xml(records=[GOOD, ALSO_GOOD]), id="fewer records"),
        pytest.param(dmarc_xml(records=[GOOD, FIXED, FIXED, ALSO_GOOD]), id="more records"),
        pytest.param(
            dmarc_xml(records=[GOOD, record(ip="192.0.2.9", count=6), ALSO_GOOD]),
            id="fewer messages",
        ),
    ],
)
def test_other_figures_are_a_conflict(account_id: UUID, other: bytes) -> None:
    partial, second = take(account_id, PARTIAL), take(account_id, other)
    assert states(partial, second) == ["parsed", "conflict"]
    assert figures() == (70, 70, 70, 7)


def test_a_skipped_record_without_a_count_may_have_any_number_of_messages(
    account_id: UUID,
) -> None:
    without_count = record(ip="192.0.2.9", count="many")
    partial = take(account_id, dmarc_xml(records=[GOOD, without_count, ALSO_GOOD]))
    complete = take(account_id, COMPLETE)
    assert states(partial, complete) == ["duplicate", "parsed"]
    assert figures() == (77, 77, 77, 0)


def test_tls_reports_are_completed_in_the_same_way(account_id: UUID) -> None:
    partial, complete = take(account_id, TLS_PARTIAL), take(account_id, TLS_COMPLETE)
    assert states(partial, complete) == ["duplicate", "parsed"]
    repeated = take(account_id, TLS_PARTIAL + b"\n")
    assert states(repeated) == ["duplicate"]
    other = take(account_id, tls_policies(policy(41), policy(9, "not a domain!")))
    assert states(other) == ["conflict"]
    with transaction(readonly=True) as session:
        assert session.scalar(select(func.sum(TlsPolicy.successful))) == 49


def forget_record(account_id: UUID) -> None:
    """Store the report as a release does that cannot read its second record."""
    rollup_queue.drain()
    with transaction() as session:
        report = session.scalars(select(DmarcReport)).one()
        rollup_queue.unroll(session, report.id)
        skipped = session.get_one(DmarcRecord, (report.id, 1))
        report.record_count -= 1
        report.messages -= skipped.count
        report.skipped_count, report.skipped_messages = 1, skipped.count
        report.skipped_reasons = {"bad_source_ip": 1}
        report.content_digest = b"older"
        session.delete(skipped)
        session.flush()
        row = {
            "id": report.id,
            "domain_id": report.domain_id,
            "record_count": report.record_count,
        }
        rollup_queue.enqueue(session, [row])


@pytest.mark.parametrize("is_rolled_up", [True, False])
def test_reprocessing_reads_what_was_skipped_without_counting_twice(
    account_id: UUID, is_rolled_up: bool
) -> None:
    file_id = take(account_id, COMPLETE, "upload")
    forget_record(account_id)
    if is_rolled_up:
        assert figures() == (70, 70, 70, 7)
    with transaction() as session:
        session.execute(update(ReportFile).values(parser_version=1))
    report_files.reprocess(account_id, ids.public("file", file_id), actor=ACTOR)
    processor.run([])
    assert states(file_id) == ["parsed"]
    assert figures() == (77, 77, 77, 0)
    with transaction(readonly=True) as session:
        report = session.scalars(select(DmarcReport)).one()
        file = session.get_one(ReportFile, file_id)
    assert (report.provenance, report.report_file_id, file.report_id) == (
        "token",
        file_id,
        report.id,
    )


def test_reprocessing_changes_nothing_if_no_more_can_be_read(account_id: UUID) -> None:
    file_id = take(account_id, PARTIAL)
    with transaction(readonly=True) as session:
        report_id = session.scalars(select(DmarcReport.id)).one()
    for _ in range(2):
        assert retries.retry(reason=retries.PARTIAL) == 1
        processor.run([])
        assert states(file_id) == ["parsed"]
        assert figures() == (70, 70, 70, 7)
    with transaction(readonly=True) as session:
        assert session.scalars(select(DmarcReport.id)).one() == report_id


def test_the_file_of_a_complete_report_is_not_reprocessed(account_id: UUID) -> None:
    file_id = take(account_id, COMPLETE)
    with pytest.raises(Conflict, match="parsed"):
        report_files.reprocess(account_id, ids.public("file", file_id), actor=ACTOR)
    assert retries.retry(reason=retries.PARTIAL) == 0


def test_a_deleted_file_is_not_reprocessed(account_id: UUID) -> None:
    file_id = take(account_id, PARTIAL)
    with transaction() as session:
        session.execute(delete(RawFile))
    with pytest.raises(Conflict, match="no longer stored"):
        report_files.reprocess(account_id, ids.public("file", file_id), actor=ACTOR)
    assert figures() == (70, 70, 70, 7)


def test_files_of_partial_reports_are_stored_as_long_as_unparsed_ones(account_id: UUID) -> None:
    partial, tls = take(account_id, PARTIAL), take(account_id, TLS_PARTIAL)
    plain = take(account_id, dmarc_xml(report_id="other"))
    for days, stored in ((20, [True, True, False]), (31, [False, False, False])):
        with transaction() as session:
            session.execute(update(RawFile).values(created_at=now(session) - timedelta(days=days)))
        retention.run()
        assert [is_stored(id) for id in (partial, tls, plain)] == stored


def is_stored(report_file_id: UUID) -> bool:
    with transaction(readonly=True) as session:
        file = session.get_one(ReportFile, report_file_id)
        return session.get(RawFile, (file.account_id, file.sha256)) is not None


def test_a_file_that_cannot_be_read_again_keeps_its_report(account_id: UUID) -> None:
    file_id = take(account_id, PARTIAL)
    retries.retry(file_id)
    with transaction() as session:
        session.execute(update(RawFile).values(content=b"damaged"))
    processor.run([])
    assert states(file_id) == ["parsed"]
    assert figures() == (70, 70, 70, 7)
    with transaction(readonly=True) as session:
        file = session.get_one(ReportFile, file_id)
        assert file.report_id == session.scalar(select(DmarcReport.id))
        assert "could not be read again" in str(file.detail)

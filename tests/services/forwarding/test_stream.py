"""The stream of records: complete, in a stable order, and of one account."""

import threading
from uuid import UUID

import pytest
from sqlalchemy import delete, select
from sqlalchemy.engine import Engine

from app.db.transactions import transaction
from app.errors import InvalidRequest
from app.models import Domain, RecordLogEntry, Scan
from app.services.domains import domains
from app.services.filing import processor
from app.services.forwarding import kinds, stream
from app.services.forwarding.kinds import KINDS
from app.services.ingest import files
from app.services.record_log import record_log
from app.services.record_log.record_log import Entry, EntryKind
from tests.support import stored_records
from tests.support.factories import ACTOR, make_account
from tests.support.report_documents import dmarc_xml, record, tls_json
from tests.support.stored_records import DOMAIN, ids_of, read_all, store_reports


def test_every_stored_record_is_in_the_stream_of_its_account_only(account_id: UUID) -> None:
    other = make_account()
    stored_records.store_all_kinds(account_id)
    records = read_all(account_id)
    expected = set(kinds.NAMES) - {"report_removed"}
    assert {record["kind"] for record in records} == expected
    assert len(set(ids_of(records))) == len(records)
    assert read_all(other.id) == []


def test_records_have_exactly_the_documented_fields(account_id: UUID) -> None:
    stored_records.store_all_kinds(account_id)
    _log_removal(account_id)
    records = read_all(account_id)
    for kind in KINDS:
        declared = {*kinds.COMMON, *kind.fields}
        actual = {
            path
            for item in records
            if item["kind"] == kind.name
            for path in stored_records.paths(item, declared)
        }
        lists = {path for path in declared if "[]" in path}  # empty in these records
        assert actual - {path.partition("[]")[0] for path in lists} <= declared, kind.name
        assert declared - lists <= actual, kind.name


def _log_removal(account_id: UUID) -> None:
    """Log that a report of the domain was replaced."""
    with transaction() as session:
        domain_id = session.scalar(select(Domain.id).where(Domain.account_id == account_id))
        removal = Entry(
            account_id=account_id,
            domain_id=domain_id,
            kind=EntryKind.DMARC_REMOVED,
            row_id=account_id,
        )
        record_log.append(session, [removal])


def test_any_batch_size_and_any_cursor_continue_the_same_sequence(account_id: UUID) -> None:
    stored_records.store_all_kinds(account_id)
    many = [record(ip=f"192.0.2.{number}") for number in range(1, 31)]
    store_reports(account_id, dmarc_xml(report_id="many", records=many))
    records = read_all(account_id)
    assert len(records) > 35
    for limit in (1, 2, 7, 30, 31):
        assert read_all(account_id, limit=limit) == records, limit
    for index, item in enumerate(records):
        position = stream.parse_cursor(item["cursor"])
        assert read_all(account_id, position=position) == records[index + 1 :]


def test_selected_kinds_are_read_in_the_same_order(account_id: UUID) -> None:
    stored_records.store_all_kinds(account_id)
    records = read_all(account_id)
    for name in kinds.NAMES:
        expected = [item for item in records if item["kind"] == name]
        assert read_all(account_id, names=[name], limit=1) == expected


def test_transaction_that_commits_late_is_not_missed(account_id: UUID, database: Engine) -> None:
    if database.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer, so transactions commit in the order of writing")
    store_reports(account_id, dmarc_xml(report_id="first"))
    (first,) = read_all(account_id)
    entry = Entry(account_id=account_id, domain_id=None, kind=EntryKind.SCAN, row_id=account_id)
    with transaction() as late:
        record_log.append(late, [entry])
        late.flush()
        store_reports(account_id, dmarc_xml(report_id="second"))
        second = read_all(account_id, position=stream.parse_cursor(first["cursor"]))
        assert len(second) == 1
    record_log.number(account_id)
    with transaction(readonly=True) as session:
        numbered = session.scalars(
            select(RecordLogEntry.kind)
            .where(RecordLogEntry.account_id == account_id)
            .order_by(RecordLogEntry.sequence)
        ).all()
        written = session.scalars(
            select(RecordLogEntry.kind)
            .where(RecordLogEntry.account_id == account_id)
            .order_by(RecordLogEntry.number)
        ).all()
    assert written == ["dmarc", "scan", "dmarc"]  # the late transaction wrote before the second
    assert numbered == ["dmarc", "dmarc", "scan"]  # and is read after it


def test_reader_misses_nothing_while_writers_commit(account_id: UUID) -> None:
    documents = [
        dmarc_xml(report_id=f"r{writer}.{number}") for writer in range(4) for number in range(12)
    ]
    is_finished = threading.Event()

    def write(part: list[bytes]) -> None:
        for document in part:
            files.store(account_id, document, received_via="upload")
            processor.run([])

    def finish() -> None:
        for thread in writers:
            thread.join()
        is_finished.set()

    writers = [threading.Thread(target=write, args=(documents[start::4],)) for start in range(4)]
    for thread in writers:
        thread.start()
    threading.Thread(target=finish).start()
    seen, position, is_last = [], stream.START, False
    while not is_last:
        is_last = is_finished.is_set()
        batch = stream.read(account_id, position, kinds.NAMES, 5)
        seen += ids_of(batch.records)
        position, is_last = batch.position, is_last and not batch.has_more
    processor.run([])
    seen += ids_of(read_all(account_id, position=position))
    assert len(seen) == len(set(seen)) == len(documents)


def test_replaced_report_is_followed_by_its_removal_and_its_replacement(account_id: UUID) -> None:
    whole = [record(ip="192.0.2.1"), record(ip="192.0.2.2")]
    broken = [whole[0], whole[1].replace("<count>3", "<count>x")]
    store_reports(account_id, dmarc_xml(records=broken))
    (partial,) = read_all(account_id)
    assert partial["report"]["partial"]
    store_reports(account_id, dmarc_xml(records=whole))
    position = stream.parse_cursor(partial["cursor"])
    removed, *added = read_all(account_id, position=position)
    assert (removed["kind"], removed["reportId"]) == ("report_removed", partial["report"]["id"])
    assert [item["sourceIp"] for item in added] == ["192.0.2.1", "192.0.2.2"]


def test_deleted_rows_are_skipped(account_id: UUID) -> None:
    stored_records.store_all_kinds(account_id)
    with transaction() as session:
        session.execute(delete(Scan).where(Scan.account_id == account_id))
    names = {item["kind"] for item in read_all(account_id)}
    assert names.isdisjoint({"scan", "finding"})
    assert "dmarc_record" in names


def test_records_of_a_deleted_domain_are_skipped(account_id: UUID) -> None:
    store_reports(account_id, dmarc_xml(), tls_json())
    domains.delete(account_id, DOMAIN, actor=ACTOR)
    assert read_all(account_id) == []


@pytest.mark.parametrize("text", ["x", "1", "1.2.3", "-1.0", "1.", "٣.0", "9" * 30 + ".0"])
def test_invalid_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        stream.parse_cursor(text)

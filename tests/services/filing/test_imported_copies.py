"""Reports in the output of parsedmarc: their figures, their provenance, and their originals."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, select
from sqlalchemy.engine import Engine

from app.db.transactions import transaction
from app.models import DmarcRecord, DmarcReport, ReportFile, TlsReport
from app.services.filing import processor
from app.services.ingest import files
from tests.support.factories import make_account, make_domain
from tests.support.parsedmarc_output import FORMATS, report, tls_output
from tests.support.report_documents import DAY, YESTERDAY, dmarc_xml, record, tls_json

RECORDS = [
    record(ip="192.0.2.1", count=5),
    record(ip="192.0.2.2", count=4, dkim="fail"),
    record(ip="2001:db8::1", count=3, dkim="fail", spf="fail"),
]
WEEK: dict[str, Any] = {"begin": YESTERDAY - 6 * DAY, "end": YESTERDAY + DAY - 1}


@pytest.fixture
def account_id(database: object) -> UUID:
    account = make_account("Acme")
    make_domain(account.id, "acme.test")
    return account.id


def send(account_id: UUID, *contents: bytes, via: str = "cli") -> Sequence[str]:
    """Store the files and process them; returns the statuses of all reports, oldest first."""
    for content in contents:
        files.store(account_id, content, received_via=via)
    processor.run([])
    with transaction(readonly=True) as session:
        return session.scalars(select(ReportFile.status).order_by(ReportFile.id)).all()


def stored() -> Sequence[Any]:
    with transaction(readonly=True) as session:
        columns = (DmarcReport.report_id, DmarcReport.provenance, DmarcReport.messages)
        return [tuple(row) for row in session.execute(select(*columns).order_by(DmarcReport.id))]


def all_records() -> Sequence[Any]:
    columns = [column for column in DmarcRecord.__table__.columns if column.name != "report_id"]
    with transaction(readonly=True) as session:
        return session.execute(select(*columns).order_by(DmarcRecord.source_ip)).all()


@pytest.mark.parametrize("name", FORMATS)
def test_reports_of_a_file_are_imported_and_their_originals_replace_them(
    account_id: UUID, name: str
) -> None:
    originals = [dmarc_xml(report_id=text, records=RECORDS) for text in ("one@mail", "&lt;two&gt;")]
    content = FORMATS[name](*(report(xml) for xml in originals))
    assert send(account_id, content) == ["parsed", "parsed"]
    assert sorted(stored()) == [("one", "imported", 12), ("two", "imported", 12)]
    assert send(account_id, *originals) == ["duplicate", "duplicate", "parsed", "parsed"]
    assert sorted(stored()) == [("<two>", "token", 12), ("one@mail", "token", 12)]


@pytest.mark.parametrize("name", FORMATS)
def test_a_copy_of_a_stored_original_is_a_duplicate(account_id: UUID, name: str) -> None:
    original = dmarc_xml(report_id="&lt;one@mail&gt;", records=RECORDS)
    assert send(account_id, original) == ["parsed"]
    assert send(account_id, FORMATS[name](report(original))) == ["parsed", "duplicate"]
    assert stored() == [("<one@mail>", "token", 12)]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("is_original_first", [True, False])
def test_messages_that_were_divided_by_day_are_counted_once(
    account_id: UUID, name: str, is_original_first: bool
) -> None:
    original = dmarc_xml(report_id="week", records=RECORDS, **WEEK)
    copy = FORMATS[name](report(original, is_divided=True))
    statuses = send(account_id, *((original, copy) if is_original_first else (copy, original)))
    assert sorted(statuses) == ["duplicate", "parsed"]
    assert stored() == [("week", "token", 12)]


def test_copies_in_several_formats_are_one_report(account_id: UUID) -> None:
    value = report(dmarc_xml(report_id="one", records=RECORDS))
    statuses = send(account_id, *(write(value) for write in FORMATS.values()))
    assert sorted(statuses) == ["duplicate"] * (len(FORMATS) - 1) + ["parsed"]


def test_copies_of_a_dump_are_compared_with_a_query_for_each_week(
    account_id: UUID, database: Engine
) -> None:
    texts = [dmarc_xml(report_id=f"r{number}@mail", records=RECORDS) for number in range(40)]
    send(account_id, *texts[:20])
    statements: list[str] = []
    content = FORMATS["list"](*(report(xml) for xml in texts))

    def note(*arguments: Any) -> None:
        if arguments[2].startswith("SELECT dmarc_reports.id, dmarc_reports.reporter"):
            statements.append(arguments[2])

    event.listen(database, "before_cursor_execute", note)
    statuses = send(account_id, content)
    event.remove(database, "before_cursor_execute", note)
    assert sorted(statuses[20:]) == ["duplicate"] * 20 + ["parsed"] * 20
    assert len(statements) == 1


@pytest.mark.parametrize("hours", [-11, 2, 14])
@pytest.mark.parametrize("is_original_first", [True, False])
def test_times_of_another_time_zone_are_those_of_the_same_report(
    account_id: UUID, hours: int, is_original_first: bool
) -> None:
    original = dmarc_xml(report_id="one", records=RECORDS)
    copy = report(original, zone=timedelta(hours=hours))
    for entry in copy["records"]:  # as before parsedmarc 9
        del entry["interval_begin"], entry["interval_end"], entry["normalized_timespan"]
    contents = original, json.dumps(copy).encode()
    statuses = send(account_id, *(contents if is_original_first else reversed(contents)))
    assert sorted(statuses) == ["duplicate", "parsed"]
    assert stored() == [("one", "token", 12)]


def test_reports_of_two_days_with_one_id_are_two_reports(account_id: UUID) -> None:
    days = [
        dmarc_xml(report_id="same", begin=YESTERDAY - n * DAY, end=YESTERDAY + DAY - 1 - n * DAY)
        for n in (0, 1)
    ]
    for name in ("csv", "sources"):
        send(account_id, FORMATS[name](*map(report, days)))
        assert len(stored()) == 2


def test_an_original_counts_even_if_the_copy_has_other_figures(account_id: UUID) -> None:
    original = dmarc_xml(report_id="one", records=RECORDS)
    copy = report(original)
    del copy["records"][0]  # parsedmarc drops records that it cannot read
    assert send(account_id, json.dumps(copy).encode()) == ["parsed"]
    assert send(account_id, original) == ["duplicate", "parsed"]
    assert stored() == [("one", "token", 12)]
    copy["records"][0]["count"] = 99
    assert send(account_id, json.dumps(copy).encode()) == ["duplicate", "parsed", "duplicate"]


def test_an_unknown_sender_does_not_replace_a_copy_with_other_figures(account_id: UUID) -> None:
    original = dmarc_xml(report_id="one", records=RECORDS)
    send(account_id, json.dumps(report(original)).encode())
    forged = dmarc_xml(report_id="one", records=RECORDS[:1])
    assert send(account_id, forged, via="http") == ["parsed", "conflict"]
    assert stored() == [("one", "imported", 12)]


@pytest.mark.parametrize(
    ("via", "provenance"),
    [("upload", "imported"), ("dashboard", "imported"), ("http", "unverified")],
)
def test_a_copy_never_counts_more_than_an_upload(
    account_id: UUID, via: str, provenance: str
) -> None:
    send(account_id, json.dumps(report(dmarc_xml())).encode(), via=via)
    assert [row[1] for row in stored()] == [provenance]


@pytest.mark.parametrize("is_original_first", [True, False])
def test_tls_report_is_imported_and_recognized(account_id: UUID, is_original_first: bool) -> None:
    original = tls_json()
    contents = original, json.dumps([tls_output(original)]).encode()
    statuses = send(account_id, *(contents if is_original_first else reversed(contents)))
    assert sorted(statuses) == ["duplicate", "parsed"]
    with transaction(readonly=True) as session:
        assert session.scalars(select(TlsReport.provenance)).all() == ["token"]


def test_records_keep_everything_that_parsedmarc_keeps(account_id: UUID) -> None:
    original = dmarc_xml(report_id="one", records=RECORDS)
    send(account_id, FORMATS["sources"](report(original)))
    copies = all_records()
    send(account_id, original)
    names = ("source_ip", "count", "disposition", "dkim", "spf", "header_from", "dkim_results")
    originals = all_records()
    for name in names:
        assert [getattr(r, name) for r in copies] == [getattr(r, name) for r in originals]


def test_failure_report_and_damaged_output_are_rejected_with_a_reason(account_id: UUID) -> None:
    failure = {"feedback_type": "auth-failure", "parsed_sample": {}, "reported_domain": "acme.test"}
    cut = json.dumps(report(dmarc_xml())).encode()[:-30]
    assert send(account_id, json.dumps([failure]).encode(), cut) == ["rejected", "rejected"]
    with transaction(readonly=True) as session:
        reasons = session.scalars(select(ReportFile.reason).order_by(ReportFile.id)).all()
    assert reasons == ["parsedmarc_output", "not_well_formed"]

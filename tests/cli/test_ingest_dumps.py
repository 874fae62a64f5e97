"""``flask ingest`` of dumps that have more records than one file may have."""

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import Engine

from app.db.transactions import transaction
from app.mailboxes import dumps, files
from app.mailboxes.files import TooLarge
from app.models import DmarcReport
from app.protocols.report_formats.limits import LIMITS
from app.settings import Settings
from tests.support import parsedmarc_output
from tests.support.factories import make_account, make_app, make_domain
from tests.support.ingest_worker import processing_files
from tests.support.report_documents import dmarc_xml, record

RECORDS = 6  # of each report
ACTION = b'{"index": {"_index": "dmarc_aggregate-2026-01-05"}}\n'


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dumps are divided although they are small."""
    small = replace(LIMITS, json_values=1_000)
    monkeypatch.setattr(dumps, "LIMITS", small)
    monkeypatch.setattr(files, "LIMITS", small)


def lines(reports: int) -> list[bytes]:
    """The lines of a dump, with the records of all reports in a random order."""
    xml_records = [record("acme.test", ip=f"192.0.2.{number}") for number in range(RECORDS)]
    documents = [
        json.dumps({"_source": document}).encode() + b"\n"
        for number in range(reports)
        for document in parsedmarc_output.elastic(
            parsedmarc_output.report(dmarc_xml(report_id=f"r{number}", records=xml_records))
        )
    ]
    random.Random(1).shuffle(documents)
    return documents


def read_all(path: Path) -> list[bytes]:
    return [item.read() for item in files.find([path])]


def report_ids(content: bytes) -> Counter[str]:
    """The number of records of each report."""
    values = [json.loads(line) for line in content.splitlines()]
    return Counter(value["_source"]["report_id"] for value in values if "_source" in value)


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize("has_actions", [False, True])
def test_all_records_of_a_report_are_in_one_piece(tmp_path: Path, has_actions: bool) -> None:
    documents = lines(30)
    content = b"".join(ACTION + line if has_actions else line for line in documents)
    (tmp_path / "dump.ndjson").write_bytes(content)
    pieces = read_all(tmp_path)
    assert len(pieces) > 2
    assert sorted(b"".join(pieces).splitlines()) == sorted(content.splitlines())
    for piece in pieces:
        assert set(report_ids(piece).values()) <= {RECORDS}
        assert sum(map(piece.count, (b",", b"[", b"{"))) <= 1_000
    assert read_all(tmp_path) == pieces


@pytest.mark.usefixtures("limits")
def test_reports_that_share_a_line_are_in_one_piece(tmp_path: Path) -> None:
    documents = lines(30)
    hits = [json.loads(line) for line in documents]
    shared = json.dumps({"hits": {"hits": [hits[0], hits[-1]]}}).encode() + b"\n"
    (tmp_path / "dump.ndjson").write_bytes(b"".join([*documents[1:-1], shared]))
    [piece] = [piece for piece in read_all(tmp_path) if shared in piece]
    counts = report_ids(piece.replace(shared, b""))
    for hit in (hits[0], hits[-1]):
        assert counts[hit["_source"]["report_id"]] == RECORDS - 1


@pytest.mark.usefixtures("limits")
def test_damaged_line_is_alone_in_its_piece(tmp_path: Path) -> None:
    documents = lines(30)
    (tmp_path / "dump.ndjson").write_bytes(b"".join([*documents, b'{"_source": {"cut off']))
    pieces = read_all(tmp_path)
    assert b'{"_source": {"cut off' in pieces
    assert sum((report_ids(piece) for piece in pieces if b"cut off" not in piece), Counter()) == {
        f"r{number}": RECORDS for number in range(30)
    }


@pytest.mark.usefixtures("limits")
def test_small_dump_and_other_files_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "dump.ndjson").write_bytes(small := b"".join(lines(1)))
    (tmp_path / "other.json").write_bytes(other := json.dumps([[1, 2]] * 1_000).encode())
    assert [item.name for item in files.find([tmp_path])] == ["dump.ndjson", "other.json"]
    assert read_all(tmp_path) == [small, other]


def test_records_of_one_report_that_are_too_large_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 1_000)
    monkeypatch.setattr(dumps, "LIMITS", replace(LIMITS, json_values=100))
    monkeypatch.setattr(files, "LIMITS", replace(LIMITS, json_values=100))
    (tmp_path / "dump.ndjson").write_bytes(b"".join(lines(2)))
    items = list(files.find([tmp_path]))
    assert len(items) == 2
    for item in items:
        with pytest.raises(TooLarge, match="the records of one report"):
            item.read()


@pytest.mark.usefixtures("limits")
def test_divided_dump_is_imported_completely_and_once(
    database: Engine, settings: Settings, tmp_path: Path
) -> None:
    app = make_app(database, settings)
    make_domain(make_account("Acme").id, "acme.test")
    (tmp_path / "dump.ndjson").write_bytes(b"".join(lines(30)))
    with processing_files():
        arguments = ["ingest", "--account", "Acme", "--json", str(tmp_path)]
        first, second = (app.test_cli_runner().invoke(args=arguments) for _ in range(2))
    summaries = [json.loads(result.stdout) for result in (first, second)]
    assert [summary["reports"] for summary in summaries] == [30, 0]
    assert summaries[0]["imported"] == summaries[1]["alreadyImported"] > 2
    with transaction(readonly=True) as session:
        total = session.scalar(select(func.sum(DmarcReport.record_count)))
    assert total == 30 * RECORDS

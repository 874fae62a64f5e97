"""Queued report files are claimed in an order that is fair to all accounts."""

from uuid import UUID

import pytest
from sqlalchemy.engine import Engine

from app.db.transactions import now, transaction
from app.models import ReportFile
from app.services.filing import claims, processor
from app.services.ingest import files as ingest_files
from tests.support import claim_plans
from tests.support.factories import make_account
from tests.support.report_documents import dmarc_xml
from tests.support.report_file_jobs import store_files

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def account_id(database: Engine) -> UUID:
    return make_account().id


def several(count: int) -> list[bytes]:
    return [dmarc_xml(report_id=str(number)) for number in range(count)]


def test_account_with_many_files_does_not_delay_others_that_arrive_later(
    account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "BATCH_FILES", 10)
    flood = store_files(account_id, *several(30))
    assert [claimed.report_file_id for claimed in claims.claim()] == flood[:10]
    few = store_files(make_account().id, *several(3))
    claimed = [claimed.report_file_id for claimed in claims.claim()]
    assert set(claimed) == {*few, *flood[10:17]}


def test_files_that_are_parsed_again_are_queued_fairly(
    account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_account().id
    own, others = store_files(account_id, *several(6)), store_files(other, *several(6))
    processor.run([])
    monkeypatch.setattr(claims, "BATCH_FILES", 4)
    with transaction() as session:
        ingest_files.parse_again(session, ReportFile.entry == "", now(session))
    first = {claimed.report_file_id for claimed in claims.claim()}
    assert first == {*own[:2], *others[:2]}


def test_claim_reads_only_the_index_entries_that_it_returns(
    database: Engine, account_id: UUID
) -> None:
    store_files(account_id, *several(300))

    def claim() -> None:
        assert len(claims.claim()) == 100

    claim_plans.check(database, claim, "report_files.virtual_start", "ix_report_files_queue")

"""Two reports with one key and other figures: the first counts until a user decides."""

import json
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.engine import Engine

from app import ids
from app.db.transactions import now, transaction
from app.errors import Conflict, NotFound
from app.models import AuditEvent, DmarcHour, DmarcReport, RawFile, ReportFile, TlsReport
from app.services.filing import conflicts, processor
from app.services.ingest import files
from app.services.operations import retention
from app.services.rollups import rollup_queue
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.report_documents import dmarc_xml, record, tls_json

FIRST, SECOND, THIRD = (dmarc_xml(records=[record(count=count)]) for count in (50, 70, 90))


@pytest.fixture
def account_id(database: Engine) -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test")
    return account.id


def store_file(account_id: UUID, raw: bytes, received_via: str = "http") -> UUID:
    stored_file = files.store(account_id, raw, received_via=received_via).file
    processor.run([stored_file.id])
    return stored_file.id


def use(account_id: UUID, report_file_id: UUID) -> None:
    conflicts.use(account_id, report_file_id, actor=ACTOR)
    processor.run([])


def states(*report_file_ids: UUID) -> list[str]:
    with transaction(readonly=True) as session:
        return [
            session.get_one(ReportFile, report_file_id).status for report_file_id in report_file_ids
        ]


def figures() -> tuple[int, list[int]]:
    """The messages in the rollups, and of each stored report."""
    rollup_queue.drain()
    with transaction(readonly=True) as session:
        total = session.scalar(select(func.sum(DmarcHour.messages))) or 0
        return int(total), list(session.scalars(select(DmarcReport.messages)))


def test_conflict_decision_can_be_reversed(account_id: UUID) -> None:
    first, second = store_file(account_id, FIRST), store_file(account_id, SECOND, "upload")
    assert states(first, second) == ["parsed", "conflict"]
    assert figures() == (50, [50])
    use(account_id, second)
    assert states(first, second) == ["conflict", "parsed"]
    assert figures() == (70, [70])
    use(account_id, first)
    assert states(first, second) == ["parsed", "conflict"]
    assert figures() == (50, [50])
    with transaction(readonly=True) as session:
        events = session.scalars(
            select(AuditEvent.target).where(AuditEvent.action == "report.conflict_decided")
        ).all()
    assert set(events) == {ids.public("file", first), ids.public("file", second)}


def test_counted_report_is_replaced_only_after_the_other_is_parsed(account_id: UUID) -> None:
    store_file(account_id, FIRST)
    second = store_file(account_id, SECOND)
    conflicts.use(account_id, second, actor=ACTOR)
    assert figures() == (50, [50])


def test_chosen_file_of_several_conflicts_is_used(account_id: UUID) -> None:
    first, second, third = (store_file(account_id, raw) for raw in (FIRST, SECOND, THIRD))
    use(account_id, second)
    use(account_id, third)
    assert states(first, second, third) == ["conflict", "conflict", "parsed"]
    assert figures() == (90, [90])


def test_conflicts_of_a_report_are_listed(account_id: UUID) -> None:
    store_file(account_id, FIRST)
    second = store_file(account_id, SECOND)
    with transaction(readonly=True) as session:
        report_id = session.scalar(select(DmarcReport.id))
    assert report_id is not None
    other_id = make_account("Other").id
    with transaction(readonly=True) as session:
        [row] = conflicts.read(session, account_id, report_id)
        assert (row.id, row.provenance) == (second, "unverified")
        assert conflicts.read(session, other_id, report_id) == []


def test_tls_reports_with_the_same_sums_are_duplicates(account_id: UUID) -> None:
    """In another order, divided otherwise, or with other texts."""
    store_file(account_id, tls_json())
    other = json.loads(tls_json())
    [policy] = other["policies"]
    rest = json.loads(json.dumps(policy))
    policy["summary"] = {"total-successful-session-count": 30, "total-failure-session-count": 2}
    rest["summary"] = {"total-successful-session-count": 10, "total-failure-session-count": 0}
    rest["failure-details"] = []
    other["policies"] = [rest, policy]
    other["organization-name"] = "The receiver"
    repeated = store_file(account_id, json.dumps(other, indent=1).encode())
    assert states(repeated) == ["duplicate"]


def test_tls_reports_can_be_in_conflict(account_id: UUID) -> None:
    store_file(account_id, tls_json())
    changed = tls_json().replace(
        b'"total-successful-session-count": ', b'"total-successful-session-count": 9'
    )
    assert changed != tls_json()
    second = store_file(account_id, changed)
    assert states(second) == ["conflict"]
    use(account_id, second)
    assert states(second) == ["parsed"]
    with transaction(readonly=True) as session:
        assert session.scalar(select(func.count()).select_from(TlsReport)) == 1


def test_only_a_stored_file_in_conflict_can_be_used(account_id: UUID) -> None:
    first, second = store_file(account_id, FIRST), store_file(account_id, SECOND)
    for refused, owner in ((first, account_id), (second, make_account("Other").id)):
        with pytest.raises((Conflict, NotFound)):
            conflicts.use(owner, refused, actor=ACTOR)
    with transaction() as session:
        session.execute(update(RawFile).values(created_at=now(session) - timedelta(days=31)))
    retention.run()
    with pytest.raises(Conflict, match="no longer stored"):
        conflicts.use(account_id, second, actor=ACTOR)
    assert states(first, second) == ["parsed", "conflict"]


def test_both_files_of_a_conflict_are_stored_as_long_as_unparsed_ones(account_id: UUID) -> None:
    first, second = store_file(account_id, FIRST), store_file(account_id, SECOND)
    plain = store_file(account_id, dmarc_xml(report_id="other"))
    with transaction() as session:
        session.execute(update(RawFile).values(created_at=now(session) - timedelta(days=20)))
    retention.run()
    with transaction(readonly=True) as session:
        digests = set(session.scalars(select(RawFile.sha256)))
        stored = {
            report_file_id
            for report_file_id in (first, second, plain)
            if session.get_one(ReportFile, report_file_id).sha256 in digests
        }
    assert stored == {first, second}

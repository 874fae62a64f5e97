"""Ingest budgets: unknown senders use their own budget and delay no other account."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from app import settings as app_settings
from app.db.transactions import now, transaction
from app.errors import QuotaExceeded
from app.models import DailyIngestUsage, DmarcReport, RawFile, ReportFile
from app.models.stored_json import SenderMetadata
from app.services.filing import processor
from app.services.ingest import budgets, files
from app.services.operations import retention
from app.settings import Settings
from tests.support.factories import make_account, make_domain
from tests.support.hostile_mails import poisoned
from tests.support.report_documents import dmarc_xml, mailed
from worker import resource_limits

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def account_id() -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test")
    return account.id


def post(
    account_id: UUID, raw: bytes, address: str = "198.51.100.1", received_via: str = "http"
) -> ReportFile:
    return files.store(
        account_id, raw, received_via=received_via, sender_metadata={"address": address}
    ).file


def flood(account_id: UUID, *addresses: str) -> int:
    """How many of the files from these addresses were accepted."""
    accepted = 0
    for number, address in enumerate(addresses):
        try:
            post(account_id, f"junk {number}".encode(), address)
            accepted += 1
        except QuotaExceeded:
            pass
    return accepted


def states(account_id: UUID) -> Counter[str]:
    with transaction(readonly=True) as session:
        return Counter(
            session.scalars(select(ReportFile.status).where(ReportFile.account_id == account_id))
        )


def test_unknown_sources_cannot_use_the_budget_of_own_uploads_and_known_sources(
    settings: Settings, account_id: UUID
) -> None:
    app_settings.use(settings.replace(ingest_files_per_day=100))
    with transaction() as session:
        budgets.note_authenticated(session, account_id, "192.0.2.1")
    assert flood(account_id, *(f"198.51.100.{number}" for number in range(200))) == 50
    assert post(account_id, dmarc_xml(), "192.0.2.1").sender_metadata["sourceClass"] == "known"
    assert post(account_id, dmarc_xml(report_id="own"), received_via="upload").status == "received"


def test_own_uploads_have_a_reserved_budget(settings: Settings, account_id: UUID) -> None:
    app_settings.use(settings.replace(ingest_files_per_day=100))
    sources = [f"192.0.2.{number}" for number in range(100)]
    with transaction() as session:
        for source in sources:
            budgets.note_authenticated(session, account_id, source)
    assert flood(account_id, *sources) == 90
    assert post(account_id, dmarc_xml(), received_via="dashboard").status == "received"


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db8::{}"])
def test_one_source_cannot_use_the_whole_budget_of_unknown_sources(
    settings: Settings, account_id: UUID, address: str
) -> None:
    app_settings.use(settings.replace(ingest_files_per_day=100))
    assert flood(account_id, *(address.format(number) for number in range(30))) == 10
    assert flood(account_id, "203.0.113.1") == 1


def test_relayed_mail_is_counted_for_its_envelope_domain() -> None:
    claims: SenderMetadata = {"peerAddress": "127.0.0.1", "mailFrom": "<noreply@Google.com>"}
    assert budgets.source_of("mail", claims) == "google.com"
    assert budgets.source_of("mail", {**claims, "peerAddress": "8.8.8.8"}) == "8.8.8.8"
    assert budgets.source_of("mailbox", claims) is None


def test_files_above_the_cpu_budget_are_parsed_on_the_next_day(
    settings: Settings, account_id: UUID
) -> None:
    app_settings.use(settings.replace(ingest_cpu_seconds_per_day=10))
    with transaction() as session:
        session.add(DailyIngestUsage(account_id=account_id, day=now(session).date(), cpu_ms=6_000))
    unknown = post(account_id, dmarc_xml())
    own = post(account_id, dmarc_xml(report_id="own"), received_via="upload")
    processor.run([])
    assert states(account_id) == {"rejected": 1, "parsed": 1}
    assert processor.retry_deferred() == 0
    with transaction() as session:
        yesterday = now(session) - timedelta(days=1)
        deferred = session.get_one(ReportFile, unknown.id)
        assert (deferred.reason, own.status) == ("cpu_budget", "received")
        session.execute(update(DailyIngestUsage).values(day=yesterday.date()))
        session.execute(update(ReportFile).values(finished_at=yesterday))
    assert processor.retry_deferred() == 1
    processor.run([])
    assert states(account_id) == {"parsed": 2}


def test_parsing_is_charged_to_the_account(account_id: UUID) -> None:
    post(account_id, poisoned(3))
    processor.run([])
    with transaction(readonly=True) as session:
        cpu_ms = session.scalar(select(func.sum(DailyIngestUsage.cpu_ms)))
    assert cpu_ms is not None
    assert cpu_ms > 0


def test_other_account_waits_for_one_slice_and_not_for_the_batch(
    account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "SLICE_SECONDS", 0.0)
    hostile = make_account().id
    for number in range(10):
        post(hostile, f"junk {number}".encode())
    post(account_id, dmarc_xml())
    calls = iter(range(100))
    processor.run([], is_stopping=lambda: next(calls) > 6)
    assert states(account_id) == {"parsed": 1}
    assert states(hostile)["received"] > 5
    processor.run([])
    assert states(hostile) == {"rejected": 10}


def test_all_parts_of_a_mail_are_parsed_within_resource_limits(account_id: UUID) -> None:
    sizes = []

    @contextmanager
    def guard(size_bytes: int) -> Iterator[None]:
        sizes.append(size_bytes)
        if len(sizes) > 3:
            raise TimeoutError
        yield

    raw = mailed(dmarc_xml())
    processor.run([post(account_id, raw).id], guard=guard)
    assert sizes[0] == sizes[2] == len(raw)
    assert sizes[3] == len(raw)  # its author
    assert states(account_id) == {"parsed": 1}


def test_small_file_has_a_small_cpu_limit(settings: Settings) -> None:
    app_settings.use(settings)
    assert resource_limits.cpu_seconds(531) < 1.1
    assert resource_limits.cpu_seconds(4 * 1024**2) == 9.0
    assert resource_limits.cpu_seconds(10**9) == settings.ingest_cpu_seconds


def test_defective_files_of_a_batch_do_not_affect_the_others(account_id: UUID) -> None:
    for number in range(8):
        post(account_id, poisoned(number))
        post(account_id, dmarc_xml(report_id=str(number)))
    processor.run([], guard=resource_limits.one_file)
    with transaction(readonly=True) as session:
        reports = session.scalars(
            select(DmarcReport.report_id).where(DmarcReport.policy_domain == "acme.test")
        ).all()
    assert {str(number) for number in range(8)} <= set(reports)
    assert states(account_id)["received"] == 0


def test_junk_is_deleted_before_other_files(settings: Settings, account_id: UUID) -> None:
    app_settings.use(settings.replace(junk_retention_days=1))
    junk = post(account_id, b"junk")
    own = post(account_id, b"own junk", received_via="upload")
    processor.run([])
    with transaction() as session:
        session.execute(update(RawFile).values(created_at=now(session) - timedelta(days=2)))
    retention.run()
    with transaction(readonly=True) as session:
        assert session.scalars(select(RawFile.sha256)).all() == [own.sha256]
    assert junk.sha256 != own.sha256

"""Report files are stored before the acknowledgment and processed once."""

import gzip
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from app import settings as app_settings
from app.db.transactions import transaction
from app.errors import QuotaExceeded
from app.models import (
    DmarcRecord,
    DmarcReport,
    Domain,
    FailureReport,
    ObservedSelector,
    RawFile,
    ReportFile,
    TlsPolicy,
)
from app.services.domains import domains
from app.services.filing import processor, retries
from app.services.ingest import files
from app.services.ingest.files import ReportFileFilter
from app.settings import Settings
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.report_documents import (
    DAY,
    YESTERDAY,
    dmarc_xml,
    failure_mail,
    record,
    tls_json,
    wrappings,
    zipped,
)

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def account_id() -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test")
    return account.id


def store_file(
    account_id: UUID, raw: bytes, received_via: str = "http", read: bool = True
) -> ReportFile:
    """Store and process a file, and return its row."""
    stored_file = files.store(account_id, raw, received_via=received_via)
    if read:
        processor.run([stored_file.file.id])
    return reload(stored_file.file.id)


def reload(report_file_id: UUID) -> ReportFile:
    with transaction(readonly=True) as session:
        return session.get_one(ReportFile, report_file_id)


def count(table: type) -> int:
    with transaction(readonly=True) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def states(account_id: UUID) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in files.counts(account_id):
        counts[row.status] += row.number
    return counts


def test_report_is_stored_before_it_is_parsed(account_id: UUID) -> None:
    raw = dmarc_xml()
    report_file = store_file(account_id, raw, read=False)
    assert report_file.status == "received"
    with transaction(readonly=True) as session:
        assert files.raw_of(session, account_id, report_file.id) == raw


def test_aggregate_report_is_stored_as_rows(account_id: UUID) -> None:
    records = [record(count=3), record(ip="2001:db8::1", count=4, dkim="fail", spf="fail")]
    report_file = store_file(account_id, dmarc_xml(records=records))
    assert (report_file.status, report_file.kind, report_file.policy_domain) == (
        "parsed",
        "dmarc",
        "acme.test",
    )
    assert report_file.provenance == "unverified"
    with transaction(readonly=True) as session:
        report = session.get_one(DmarcReport, report_file.report_id)
        rows = session.scalars(select(DmarcRecord).order_by(DmarcRecord.position)).all()
    assert (report.record_count, report.messages, report.passed, report.days) == (2, 7, 3, 1)
    assert (report.reporter, report.policy["p"], report.policy["sp"]) == (
        "receiver.test",
        "reject",
        "none",
    )
    assert [(row.source_ip, row.count, row.dkim, row.spf) for row in rows] == [
        ("192.0.2.1", 3, True, True),
        ("2001:db8::1", 4, False, False),
    ]
    assert rows[0].dkim_results == [{"domain": "acme.test", "selector": "s1", "result": "pass"}]
    assert rows[0].at == report.begin_at + timedelta(hours=12)


def test_tls_report_is_stored_as_rows(account_id: UUID) -> None:
    report_file = store_file(account_id, tls_json())
    assert (report_file.status, report_file.kind) == ("parsed", "tls")
    with transaction(readonly=True) as session:
        policy = session.scalars(select(TlsPolicy)).one()
    assert (policy.policy_type, policy.successful, policy.failed) == ("sts", 40, 2)
    assert policy.failures[0]["result_type"] == "certificate-expired"


def test_failure_report_is_stored_without_private_data(account_id: UUID) -> None:
    report_file = store_file(account_id, failure_mail(), received_via="mail")
    assert (report_file.status, report_file.kind, report_file.policy_domain) == (
        "parsed",
        "failure",
        "acme.test",
    )
    with transaction(readonly=True) as session:
        report = session.get_one(FailureReport, report_file.report_id)
    assert (report.reporter, report.source_ip, report.delivery_result) == (
        "mx.receiver.test",
        "203.0.113.66",
        "reject",
    )
    assert (report.auth_failure, report.identity_alignment) == (["dmarc"], ["dkim", "spf"])
    assert report.sender is not None
    assert report.sender.rstrip(">").endswith("@evil.test")
    columns = str(
        {column.name: getattr(report, column.name) for column in report.__table__.columns}
    )
    for private in ("bounce", "victim", "ceo", "Good day"):
        assert private not in columns
    assert (
        store_file(account_id, failure_mail() + b"\r\n", received_via="mail").status == "duplicate"
    )


def test_report_over_several_days_has_its_number_of_days(account_id: UUID) -> None:
    begin = YESTERDAY - 6 * DAY
    report_file = store_file(account_id, dmarc_xml(begin=begin, end=begin + 7 * DAY - 1))
    with transaction(readonly=True) as session:
        assert session.get_one(DmarcReport, report_file.report_id).days == 7


def test_report_in_different_containers_is_stored_once(account_id: UUID) -> None:
    ends = [store_file(account_id, raw) for raw in wrappings(dmarc_xml())]
    assert [report_file.status for report_file in ends] == ["parsed", *["duplicate"] * 3]
    assert len({report_file.report_id for report_file in ends}) == 1
    assert (count(DmarcReport), count(DmarcRecord)) == (1, 1)


def test_identical_bytes_return_the_first_file(account_id: UUID) -> None:
    first = files.store(account_id, dmarc_xml(), received_via="http")
    second = files.store(account_id, dmarc_xml(), received_via="http")
    assert (first.is_new, second.is_new) == (True, False)
    assert first.file.id == second.file.id
    assert count(RawFile) == 1


def test_different_content_of_the_same_report_is_a_conflict(account_id: UUID) -> None:
    first = store_file(account_id, dmarc_xml())
    second = store_file(account_id, dmarc_xml(records=[record(count=99)]))
    assert (second.status, second.report_id) == ("conflict", first.report_id)
    with transaction(readonly=True) as session:
        assert session.scalar(select(DmarcReport.messages)) == 3


ROWS = [record(count=3), record(ip="192.0.2.2", count=4, dkim="fail")]


@pytest.mark.parametrize(
    "other",
    [
        dmarc_xml(records=ROWS[::-1]),
        dmarc_xml(records=[record(count=1), ROWS[1], record(count=2)]),
        dmarc_xml(records=[*ROWS, record(ip="192.0.2.9", count=0)]),
        dmarc_xml(records=ROWS).replace(b"<version>1.0", b"<version>2"),
        dmarc_xml(records=ROWS).replace(b"<email>noreply@", b"<email>DMARC@"),
        dmarc_xml(records=ROWS).replace(b"<p>reject", b"<p>none"),
        dmarc_xml(records=ROWS).replace(b">s1<", b">s2<"),
    ],
)
def test_report_with_the_same_figures_is_a_duplicate(account_id: UUID, other: bytes) -> None:
    store_file(account_id, dmarc_xml(records=ROWS))
    assert store_file(account_id, other).status == "duplicate"


def test_report_of_an_earlier_release_is_compared_by_its_records(account_id: UUID) -> None:
    store_file(account_id, dmarc_xml(records=ROWS))
    with transaction() as session:
        session.execute(update(DmarcReport).values(content_digest=b"old" * 8))
    assert store_file(account_id, dmarc_xml(records=ROWS[::-1])).status == "duplicate"
    assert store_file(account_id, dmarc_xml(records=ROWS[:1])).status == "conflict"


def test_conflict_shows_the_figures_of_both_reports(account_id: UUID) -> None:
    store_file(account_id, dmarc_xml(records=ROWS))
    detail = store_file(account_id, dmarc_xml(records=ROWS[:1])).detail or ""
    assert "Counted report: 7 messages in 2 records, 7 messages passed DMARC" in detail
    assert "This report: 3 messages in 1 record, 3 messages passed DMARC" in detail


def test_same_report_from_a_trusted_sender_raises_its_provenance(account_id: UUID) -> None:
    first = store_file(account_id, dmarc_xml(), received_via="mail")
    assert (first.status, first.provenance) == ("parsed", "unverified")
    second = store_file(account_id, gzip.compress(dmarc_xml(), mtime=0), received_via="upload")
    assert second.status == "parsed"
    first = reload(first.id)
    assert (first.status, first.report_id) == ("duplicate", second.report_id)
    with transaction(readonly=True) as session:
        assert session.scalars(select(DmarcReport.provenance)).all() == ["token"]
        assert session.scalars(select(DmarcRecord.count)).all() == [3]


def test_trusted_report_does_not_replace_another_one_that_is_counted(account_id: UUID) -> None:
    first = store_file(account_id, dmarc_xml(records=[record(count=99)]), received_via="mail")
    second = store_file(account_id, dmarc_xml(), received_via="upload")
    assert (second.status, second.provenance) == ("conflict", "token")
    assert second.report_id == first.report_id
    assert reload(first.id).status == "parsed"
    with transaction(readonly=True) as session:
        assert session.scalars(select(DmarcReport.messages)).all() == [99]


@pytest.mark.parametrize(
    "other",
    [
        dmarc_xml(org="other.test"),
        dmarc_xml(report_id="r2"),
        dmarc_xml(end=YESTERDAY + DAY - 2),
        dmarc_xml("sub.acme.test"),
    ],
)
def test_reports_differ_by_reporter_id_period_and_domain(account_id: UUID, other: bytes) -> None:
    store_file(account_id, dmarc_xml())
    assert store_file(account_id, other).status == "parsed"
    assert count(DmarcReport) == 2


def test_report_is_attributed_to_the_longest_matching_domain(account_id: UUID) -> None:
    below = make_domain(account_id, "mail.acme.test")
    report_file = store_file(account_id, dmarc_xml("a.mail.acme.test"))
    with transaction(readonly=True) as session:
        report = session.get_one(DmarcReport, report_file.report_id)
    assert (report.domain_id, report.policy_domain) == (below.id, "a.mail.acme.test")


@pytest.mark.parametrize("domain", ["other.test", "notacme.test", "test", "xacme.test"])
def test_report_about_an_unknown_domain_is_unattributed(account_id: UUID, domain: str) -> None:
    report_file = store_file(account_id, dmarc_xml(domain))
    assert (report_file.status, report_file.reason) == ("unattributed", "no_verified_domain")
    assert report_file.policy_domain == domain
    assert domain in str(report_file.detail)
    assert count(DmarcReport) == 0


def test_report_about_a_domain_of_another_account_is_unattributed(account_id: UUID) -> None:
    make_domain(make_account().id, "elsewhere.test")
    assert store_file(account_id, dmarc_xml("elsewhere.test")).status == "unattributed"


@contextmanager
def verification_required(settings: Settings) -> Iterator[None]:
    app_settings.use(settings.replace(domain_verification="required"))
    yield
    app_settings.use(settings)


def test_report_about_an_unverified_domain_is_unattributed(
    account_id: UUID, settings: Settings
) -> None:
    with verification_required(settings):
        report_file = store_file(account_id, dmarc_xml())
        assert report_file.status == "unattributed"
        with transaction() as session:
            session.execute(update(Domain).values(verified_at=func.current_timestamp()))
            retries.retry_for_domain(session, account_id, "acme.test")
        processor.requeue_stale()
        processor.run([])
        assert reload(report_file.id).status == "parsed"


def test_adding_a_domain_reprocesses_its_unattributed_reports(account_id: UUID) -> None:
    waiting = [store_file(account_id, dmarc_xml(name)) for name in ("late.test", "a.late.test")]
    other = store_file(account_id, dmarc_xml("xlate.test"))
    domains.create(account_id, domains.NewDomain("late.test"), actor=ACTOR)
    processor.run([])
    assert [reload(report_file.id).status for report_file in waiting] == ["parsed", "parsed"]
    assert reload(other.id).status == "unattributed"


@pytest.mark.parametrize(
    "raw", [b"hello", b"<feedback>", b"\x1f\x8bnothing", b"PK\x03\x04nothing", b"{}", b"\x00" * 999]
)
def test_other_files_are_rejected_with_a_reason(account_id: UUID, raw: bytes) -> None:
    report_file = store_file(account_id, raw)
    assert report_file.status == "rejected"
    assert report_file.reason
    assert report_file.detail
    assert count(RawFile) == 1


def test_each_report_of_a_file_has_its_own_row(account_id: UUID) -> None:
    raw = zipped(dmarc_xml(), dmarc_xml("other.test"), b"<feedback/>", dmarc_xml())
    report_file = store_file(account_id, raw)
    assert report_file.status == "parsed"
    assert states(account_id) == {"parsed": 1, "unattributed": 1, "rejected": 1, "duplicate": 1}
    rows, _ = files.search(account_id, ReportFileFilter()).page(None, 100)
    assert len({row.entry for row in rows}) == 4


def test_retry_processes_only_the_selected_file(account_id: UUID) -> None:
    store_file(account_id, zipped(dmarc_xml(), dmarc_xml("other.test"), b"<feedback/>"))
    before = states(account_id)
    assert retries.retry(reason="no_verified_domain") == 1
    processor.run([])
    assert states(account_id) == before
    make_domain(account_id, "other.test")
    processor.run([])
    assert states(account_id) == {"parsed": 2, "rejected": 1}


def test_parsed_file_is_not_retried(account_id: UUID) -> None:
    report_file = store_file(account_id, dmarc_xml())
    assert retries.retry(report_file.id) == 0


def test_retried_rejected_file_stays_one_file(account_id: UUID) -> None:
    report_file = store_file(account_id, b"hello")
    assert retries.retry(report_file.id) == 1
    assert reload(report_file.id).status == "received"
    processor.run([report_file.id])
    assert states(account_id) == {"rejected": 1}


def test_selectors_of_passing_signatures_are_stored(account_id: UUID) -> None:
    selected = [
        record(selector="Good"),
        record(selector="bad", dkim="fail"),
        record("mail.acme.test", selector="below"),
        record("stranger.test", selector="theirs"),
        record(selector="not a selector"),
    ]
    store_file(account_id, dmarc_xml(records=selected), received_via="upload")
    with transaction(readonly=True) as session:
        selectors = session.execute(select(ObservedSelector.name, ObservedSelector.selector)).all()
    assert {tuple(row) for row in selectors} == {("acme.test", "good"), ("mail.acme.test", "below")}


def test_daily_limits_are_enforced(account_id: UUID, settings: Settings) -> None:
    app_settings.use(settings.replace(ingest_files_per_day=4))
    for number in range(2):
        files.store(account_id, dmarc_xml(report_id=str(number)), received_via="http")
    with pytest.raises(QuotaExceeded) as refused:
        files.store(account_id, dmarc_xml(report_id="over"), received_via="http")
    assert 0 < refused.value.extra["retryAfter"] <= DAY
    assert not files.store(account_id, dmarc_xml(report_id="1"), received_via="http").is_new
    app_settings.use(settings.replace(ingest_bytes_per_day=6000))
    with pytest.raises(QuotaExceeded):
        files.store(account_id, b"x" * 3000, received_via="http")
    assert count(ReportFile) == 2


def test_deleted_report_that_is_received_again_is_processed(account_id: UUID) -> None:
    first = store_file(account_id, dmarc_xml())
    domains.delete(account_id, "acme.test", actor=ACTOR)
    make_domain(account_id, "acme.test")
    second = store_file(account_id, dmarc_xml())
    assert second.id != first.id  # the row went with the domain
    assert (second.status, count(DmarcReport)) == ("parsed", 1)


def test_twenty_concurrent_uploads_are_one_report(account_id: UUID) -> None:
    raws = wrappings(dmarc_xml()) * 5
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda raw: files.store(account_id, raw, received_via="http"), raws))
    assert sum(stored_file.is_new for stored_file in stored) == 4
    ids = sorted({stored_file.file.id for stored_file in stored})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda id: processor.run([id]), ids))
    assert states(account_id) == {"parsed": 1, "duplicate": 3}
    assert count(DmarcReport) == 1

"""Report alerts open, are kept while data is missing, and are resolved."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.engine import Engine

from app import ids
from app import settings as app_settings
from app.db.transactions import now, transaction
from app.models import (
    Alert,
    DmarcReport,
    Domain,
    ReportFile,
    ReportMailbox,
    ReportMonitor,
)
from app.protocols.report_formats.aggregate import DkimResult
from app.services.analytics import sources
from app.services.analytics.sources import ManualClassification
from app.services.mailboxes import mailboxes, polling
from app.services.monitoring import report_monitor
from app.services.rollups import rollup_queue
from app.settings import Settings
from app.settings.types import DomainVerification
from tests.support.factories import ACTOR, make_account
from tests.support.report_alerts import (
    GOOD,
    MAILCHIMP,
    RUA,
    failing_record,
    mailbox,
    midnight,
    opened,
    send,
    store_dmarc_facts,
)
from tests.support.stored_reports import (
    DAY,
    Report,
    record,
    store,
    store_tls,
    store_tls_report,
    tls_failure,
    tls_policy,
)

NO_DKIM = (DkimResult("acme.test", "s1", "fail"),)


def test_domain_without_reports_has_no_report_alerts(domain: Domain) -> None:
    assert opened(domain) == {}


def test_steady_passing_mail_opens_only_the_policy_suggestion(domain: Domain) -> None:
    store_dmarc_facts(domain, RUA)
    send(domain, range(1, 35), GOOD)
    alerts = opened(domain)
    assert set(alerts) == {"dmarc.ready_for_next_policy", "dmarc.policy_none_standing"}
    fix = alerts["dmarc.ready_for_next_policy"].fix
    assert fix is not None
    assert fix["after"] == "v=DMARC1; p=quarantine; rua=mailto:d@acme.test"


def test_missing_reports_open_an_alert_after_three_days(domain: Domain) -> None:
    store_dmarc_facts(domain, RUA)
    assert set(opened(domain)) == {"reports.none_received"}
    send(domain, range(1, 2), GOOD)
    assert opened(domain, "reports.none_received") == {}


def test_compliance_is_compared_with_the_previous_four_weeks(domain: Domain) -> None:
    send(domain, range(4, 34), GOOD)
    send(domain, range(1, 3), GOOD, failing_record(90))
    alert = opened(domain)["dmarc.compliance_dropped"]
    assert alert.severity == "high"
    evidence: Any = alert.evidence
    assert evidence["baseline"]["passRate"] == 1
    assert evidence["observed"]["passRate"] == pytest.approx(0.5263, abs=1e-4)
    assert evidence["samples"][0]["address"] == "203.0.113.9"
    assert "dmarc.failure_spike" in opened(domain)


def test_alert_from_unverified_reports_is_info(domain: Domain) -> None:
    send(domain, range(4, 34), GOOD)
    send(domain, range(1, 3), GOOD)
    send(domain, range(1, 3), failing_record(900), provenance="unverified")
    alerts = opened(domain)
    assert alerts["dmarc.compliance_dropped"].severity == "info"
    assert {alert.severity for alert in alerts.values()} == {"info"}


def test_alert_is_kept_while_there_is_no_data(domain: Domain) -> None:
    send(domain, range(4, 34), GOOD)
    store_again = Report([GOOD, failing_record(90)], begin=midnight(1))
    stored = store(domain, store_again)
    assert "dmarc.compliance_dropped" in opened(domain)
    with transaction() as session:
        rollup_queue.unroll(session, stored)
        session.delete(session.get_one(DmarcReport, stored))
    assert "dmarc.compliance_dropped" in opened(domain)


def test_reporter_with_many_unreadable_records_opens_an_alert(domain: Domain) -> None:
    send(domain, range(1, 4), GOOD, skipped={"bad_source_ip": 3}, skipped_messages=2)
    assert "report.partial_rate" not in opened(domain)
    send(domain, range(4, 6), GOOD, skipped={"bad_number": 4}, skipped_messages=2)
    alert = opened(domain)["report.partial_rate"]
    assert (alert.subject, alert.severity) == ("dmarc:google.com", "medium")
    assert alert.evidence["observed"] == {
        "reporter": "google.com",
        "kind": "dmarc",
        "reports": 5,
        "partialReports": 5,
        "records": 5,
        "messages": 500,
        "skippedRecords": 17,
        "skippedMessages": 10,
        "share": round(17 / 22, 4),
        "reasons": {"bad_source_ip": 9, "bad_number": 8},
    }
    with transaction() as session:
        session.execute(update(DmarcReport).values(skipped_count=0))
    assert "report.partial_rate" not in opened(domain)


def test_few_unreadable_records_of_many_open_no_alert(domain: Domain) -> None:
    rows = [record(f"192.0.2.{number}", 10) for number in range(60)]
    send(domain, range(1, 6), *rows, skipped={"bad_source_ip": 3}, skipped_messages=30)
    assert "report.partial_rate" not in opened(domain)
    send(domain, range(1, 6), *rows, skipped={"bad_source_ip": 1}, skipped_messages=300)
    alert = opened(domain)["report.partial_rate"]
    observed: Any = alert.evidence["observed"]
    assert observed["share"] == round(1650 / 7650, 4)


def test_sums_of_huge_counts_do_not_overflow(domain: Domain) -> None:
    rows = [record(count=10**12)]
    most: dict[str, Any] = {"skipped": {"bad_source_ip": 3}, "skipped_messages": 2 * 10**17}
    for number in range(60):
        store(domain, Report(rows, midnight(1), reporter="stranger.test", **most))
        store_tls_report(
            domain,
            [],
            at=midnight(1) + DAY / 2 + number * DAY / 1000,
            skipped_count=3,
            skipped_sessions=10**17,
            skipped_failed_sessions=10**17,
            skipped_reasons={"bad_domain": 3},
        )
    assert "report.partial_rate" in opened(domain)


def test_unverified_partial_reports_open_an_info_alert(domain: Domain) -> None:
    send(domain, range(1, 5), GOOD)
    skipped = {"skipped": {"bad_number": 5}, "provenance": "unverified"}
    send(domain, range(1, 5), GOOD, reporter="stranger.test", **skipped)
    assert opened(domain)["report.partial_rate"].severity == "info"


def test_partial_tls_reports_open_an_alert(domain: Domain) -> None:
    failures = [tls_failure(), tls_failure()]
    for day in range(1, 6):
        store_tls_report(
            domain,
            [tls_policy(successful=50, failed=2, failures=failures)],
            at=midnight(day) + DAY / 2,
            skipped_count=2,
            skipped_sessions=7,
            skipped_failed_sessions=1,
            skipped_reasons={"bad_domain": 1, "bad_number": 1},
        )
    alert = opened(domain)["report.partial_rate"]
    observed: Any = alert.evidence["observed"]
    assert (alert.subject, observed["kind"]) == ("tls:google.com", "tls")
    assert (observed["records"], observed["messages"]) == (15, 260)
    assert (observed["skippedRecords"], observed["skippedMessages"]) == (10, 40)
    assert observed["reasons"] == {"bad_domain": 5, "bad_number": 5}


def test_new_failing_source_has_its_own_alert_type(domain: Domain) -> None:
    send(domain, range(4, 34), GOOD)
    service = failing_record(60, spf_results=(MAILCHIMP,))
    send(domain, range(1, 3), GOOD, service)
    alert = opened(domain)["source.new_failing"]
    assert (alert.subject, alert.severity) == ("service:Mailchimp", "high")
    ignored = ManualClassification("service:Mailchimp", "ignored")
    sources.classify(domain.account_id, "acme.test", ignored, actor=ACTOR)
    assert "source.new_failing" not in opened(domain)


def test_approved_source_that_fails_has_regressed(domain: Domain) -> None:
    other = ("198.51.100.7", 100)
    send(domain, range(4, 34), GOOD, record(*other, spf=False, spf_results=(MAILCHIMP,)))
    approved = ManualClassification("service:Mailchimp", "approved")
    sources.classify(domain.account_id, "acme.test", approved, actor=ACTOR)
    broken = record(*other, dkim=False, spf=False, spf_results=(MAILCHIMP,), dkim_results=NO_DKIM)
    send(domain, range(1, 3), GOOD, broken)
    alerts = opened(domain)
    assert alerts["source.approved_regressed"].subject == "service:Mailchimp"
    assert "source.new_failing" not in alerts


def test_failing_selector_is_named_in_its_alert(domain: Domain) -> None:
    send(domain, range(4, 34), GOOD)
    new = record(count=60, dkim_results=(DkimResult("acme.test", "s2", "pass"),))
    send(domain, range(1, 3), record(count=100, dkim=False, dkim_results=NO_DKIM), new)
    alerts = opened(domain, "dkim.selector_failing", "dkim.selector_new")
    assert {type: alert.subject for type, alert in alerts.items()} == {
        "dkim.selector_failing": "s1",
        "dkim.selector_new": "s2",
    }


def test_new_sending_subdomain_opens_an_alert(domain: Domain) -> None:
    send(domain, range(4, 34), GOOD)
    send(domain, range(1, 3), GOOD, record(count=30, header_from="shop.acme.test"))
    alert = opened(domain)["subdomain.new_sending"]
    assert (alert.subject, alert.severity) == ("shop.acme.test", "medium")


def test_three_times_the_usual_volume_opens_an_alert(domain: Domain) -> None:
    send(domain, range(4, 34), GOOD)
    send(domain, range(1, 2), record(count=400))
    alert = opened(domain)["dmarc.volume_anomaly"]
    assert alert.evidence["observed"] == {"messagesInADay": 400}


def test_stopped_reporter_opens_an_alert(domain: Domain) -> None:
    send(domain, range(1, 34), GOOD)
    send(domain, range(10, 34), GOOD, reporter="yahoo.com")
    assert opened(domain)["reports.reporter_stopped"].subject == "yahoo.com"


@pytest.mark.parametrize(
    ("failed", "severity"), [(0, None), (3, "medium"), (30, "high"), (300, "critical")]
)
def test_severity_of_tls_failures_depends_on_their_share(
    domain: Domain, failed: int, severity: str | None
) -> None:
    store_tls(domain, ("sts", 100, failed), begin=midnight(1))
    alerts = opened(domain, "tls.failure_rate")
    assert [alert.severity for alert in alerts.values()] == ([severity] if severity else [])


def add_report_files(account_id: UUID, state: str, count: int, about: str | None = None) -> None:
    with transaction() as session:
        session.add_all(
            ReportFile(
                id=ids.new(),
                account_id=account_id,
                received_via="http",
                sha256=ids.new().bytes,
                size_bytes=1,
                status=state,
                reason="doctype" if state == "rejected" else None,
                policy_domain=about,
                finished_at=now(session),
            )
            for _ in range(count)
        )


def test_rejected_files_and_foreign_domains_open_account_alerts(database: Engine) -> None:
    account_id = make_account().id
    add_report_files(account_id, "parsed", 20)
    report_monitor.evaluate_accounts()
    with transaction(readonly=True) as session:
        assert session.scalars(select(Alert)).all() == []
    add_report_files(account_id, "rejected", 2)
    add_report_files(account_id, "unattributed", 3, "other.test")
    report_monitor.evaluate_accounts()
    with transaction(readonly=True) as session:
        alerts_by_type = {alert.type: alert for alert in session.scalars(select(Alert))}
    observed: Any = alerts_by_type["report.parse_failed_rate"].evidence["observed"]
    assert observed["reasons"] == {"doctype": 2}
    foreign = alerts_by_type["report.foreign_domain"]
    assert foreign.subject == "other.test"
    assert foreign.message.startswith("The last week had 3 reports for other.test, which is not")
    assert all(alert.domain_id is None for alert in alerts_by_type.values())


def unhealthy() -> list[Alert]:
    """The alerts after one evaluation."""
    report_monitor.evaluate_accounts()
    is_open = (Alert.type == "reports.source_unhealthy") & (Alert.status == "open")
    with transaction(readonly=True) as session:
        return list(session.scalars(select(Alert).where(is_open)))


def test_mailbox_that_fails_for_an_hour_has_an_alert_until_it_succeeds(
    database: Engine,
) -> None:
    row = mailbox(make_account().id)
    polling.poll(row.id, is_forced=True)
    assert unhealthy() == []  # once is nothing
    with transaction() as session:
        session.execute(update(ReportMailbox).values(failing_since=now(session) - DAY / 24))
    polling.poll(row.id, is_forced=True)
    [alert] = unhealthy()
    assert (alert.severity, alert.domain_id) == ("high", None)
    assert alert.subject == ids.public("mbx", row.id)
    assert "Connection refused" in alert.message
    assert len(unhealthy()) == 1
    mailboxes.remove(row.account_id, row.id, actor=ACTOR)
    assert unhealthy() == []


def test_mailbox_that_was_paused_because_access_was_refused_has_an_alert_immediately(
    database: Engine,
) -> None:
    row = mailbox(make_account().id)
    polling.poll(row.id, is_forced=True)
    with transaction() as session:
        session.execute(update(ReportMailbox).values(paused_at=now(session)))
    [alert] = unhealthy()
    assert alert.subject == ids.public("mbx", row.id)
    mailboxes.pause(row.account_id, row.id, actor=ACTOR)
    assert len(unhealthy()) == 1
    mailboxes.resume(row.account_id, row.id, actor=ACTOR)
    mailboxes.pause(row.account_id, row.id, actor=ACTOR)
    assert unhealthy() == []


def test_every_domain_is_evaluated_once_an_hour(domain: Domain) -> None:
    store_dmarc_facts(domain, RUA)
    report_monitor.enqueue_if_due()
    assert report_monitor.evaluate_due() == 1
    assert report_monitor.evaluate_due() == 0
    with transaction() as session:
        watch = session.scalars(select(ReportMonitor)).one()
        assert watch.due_at > now(session) + timedelta(minutes=50)
        watch.due_at = now(session) - timedelta(minutes=1)
    assert report_monitor.evaluate_due(is_stopping=lambda: True) == 0
    assert report_monitor.evaluate_due() == 1


def test_domain_of_a_killed_worker_is_evaluated_by_another(domain: Domain) -> None:
    report_monitor.enqueue_if_due()
    assert report_monitor._claim() == [domain.id]
    assert report_monitor._claim() == []
    with transaction() as session:
        session.execute(
            update(ReportMonitor).values(lease_until=now(session) - timedelta(seconds=1))
        )
    assert report_monitor._claim() == [domain.id]


@pytest.mark.parametrize(("verification", "evaluated"), [("off", 1), ("required", 0)])
def test_unverified_domain_is_evaluated_only_if_verification_is_off(
    domain: Domain, settings: Settings, verification: DomainVerification, evaluated: int
) -> None:
    store_dmarc_facts(domain, RUA)
    with transaction() as session:
        session.execute(update(Domain).values(verified_at=None))
    app_settings.use(settings.replace(domain_verification=verification))
    report_monitor.enqueue_if_due()
    assert report_monitor.evaluate_due() == evaluated
    with transaction(readonly=True) as session:
        types = session.scalars(select(Alert.type)).all()
    assert list(types) == ["reports.none_received"] * evaluated

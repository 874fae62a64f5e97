"""Reports that show no change in the domain's email open no alert."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from app import ids
from app.db.transactions import now, transaction
from app.models import Domain, ReportFile, ReportMailbox, ReportMonitor
from app.protocols.report_formats.aggregate import DkimResult, Reason, Record, SpfResult
from app.services.monitoring import report_monitor
from app.services.rollups import rollup_queue
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
from tests.support.stored_reports import DAY, Report, record, store

STOPPED = "reports.reporter_stopped"
NEW_KEY = (DkimResult("acme.test", "s2", "pass"),)


def newsletter(count: int) -> Record:
    return record("198.51.100.60", count, dkim_results=(DkimResult("acme.test", "nl", "pass"),))


def passed_on(count: int, *reasons: Reason) -> Record:
    """A record of mail that a mailing list changed."""
    return failing_record(
        count,
        spf_results=(SpfResult("lists.test", "mfrom", "pass"),),
        dkim_results=(DkimResult("acme.test", "s1", "fail"),),
        reasons=reasons,
    )


def open_problems(domain: Domain) -> set[str]:
    """The types of open alerts above low severity."""
    return {type for type, alert in opened(domain).items() if alert.severity not in ("info", "low")}


def test_new_key_does_not_make_a_source_or_subdomain_new(domain: Domain) -> None:
    shop = record(count=30, header_from="shop.acme.test")
    send(domain, range(4, 34), GOOD, shop)
    send(domain, range(1, 3), *(row._replace(dkim_results=NEW_KEY) for row in (GOOD, shop)))
    alerts = opened(domain)
    assert alerts["dkim.selector_new"].subject == "s2"
    assert not {"source.new", "subdomain.new_sending"} & set(alerts)


def test_new_addresses_do_not_make_a_service_new(domain: Domain) -> None:
    send(domain, range(4, 34), GOOD, record("198.51.100.7", 100, spf_results=(MAILCHIMP,)))
    send(domain, range(1, 3), GOOD, record("198.51.100.8", 100, spf_results=(MAILCHIMP,)))
    assert "source.new_known_service" not in opened(domain)


def test_slightly_more_failures_than_usual_are_not_a_spike(domain: Domain) -> None:
    send(domain, range(4, 34), record(count=1000), failing_record(60))
    send(domain, range(1, 3), record(count=1000), failing_record(75))
    assert open_problems(domain) == set()


@pytest.mark.parametrize("reasons", [(), (Reason("mailing_list", None),)])
def test_more_mail_of_a_mailing_list_is_not_a_spike(
    domain: Domain, reasons: tuple[Reason, ...]
) -> None:
    send(domain, range(4, 34), record(count=2000), passed_on(20, *reasons))
    send(domain, range(1, 3), record(count=2000), passed_on(140, *reasons))
    assert open_problems(domain) == set()


def test_spike_opens_an_alert_despite_more_mailing_list_mail(domain: Domain) -> None:
    send(domain, range(4, 34), record(count=2000), passed_on(20))
    send(domain, range(1, 3), record(count=2000), passed_on(90), failing_record(140))
    assert "dmarc.failure_spike" in open_problems(domain)


def test_unverified_reports_cannot_hide_a_spike_as_forwarding(domain: Domain) -> None:
    send(domain, range(4, 34), record(count=2000))
    send(domain, range(1, 3), record(count=2000), failing_record(140))
    send(domain, range(1, 3), passed_on(9000), provenance="unverified", reporter="liar.example")
    assert "dmarc.failure_spike" in open_problems(domain)


@pytest.mark.parametrize("still", [0, 1, 2])
def test_stopped_reporter_does_not_change_compliance(domain: Domain, still: int) -> None:
    send(domain, range(4 - still, 34), record(count=900))
    send(domain, range(1, 34), record(count=80), failing_record(20), reporter="yahoo.com")
    assert open_problems(domain) == set()


@pytest.mark.parametrize("days", [3, 5, 8, 12])
def test_new_reporter_does_not_change_compliance(domain: Domain, days: int) -> None:
    send(domain, range(1, 34), record(count=100))
    send(domain, range(1, days), record(count=800), failing_record(200), reporter="microsoft.com")
    assert open_problems(domain) - {"source.spoofing_suspected"} == set()


def test_drop_at_one_reporter_opens_an_alert_despite_a_new_reporter(domain: Domain) -> None:
    send(domain, range(4, 34), GOOD)
    send(domain, range(1, 3), record(count=80), failing_record(20))
    send(domain, range(1, 3), record(count=5000), reporter="microsoft.com")
    alert = opened(domain)["dmarc.compliance_dropped"]
    observed: Any = alert.evidence["observed"]
    assert observed["passRate"] == pytest.approx(0.8)


def test_biweekly_newsletter_is_normal_volume(domain: Domain) -> None:
    send(domain, range(1, 34), GOOD)
    send(domain, range(16, 34, 14), newsletter(2000))
    send(domain, range(2, 3), newsletter(2200))
    assert open_problems(domain) == set()


def test_weekly_reporter_has_not_stopped_before_its_next_report(domain: Domain) -> None:
    send(domain, range(1, 34), GOOD)
    for day in (48, 41, 34, 27, 20, 13):
        weekly = Report([record(count=70)], midnight(day), 7 * DAY, reporter="weekly.test")
        store(domain, weekly)
    assert open_problems(domain) == set()


def test_reporter_of_little_mail_has_not_stopped(domain: Domain) -> None:
    send(domain, range(1, 34), GOOD)
    send(domain, range(20, 24), record(count=500), reporter="few-days.test")
    send(domain, range(20, 34), record(count=1), reporter="few-messages.test")
    assert open_problems(domain) == set()


def waiting_file(domain: Domain, minutes: int) -> None:
    with transaction() as session:
        session.add(
            ReportFile(
                id=ids.new(),
                account_id=domain.account_id,
                received_via="http",
                sha256=ids.new().bytes,
                size_bytes=1,
                status="received",
                received_at=now(session) - timedelta(minutes=minutes),
            )
        )


def test_no_reporter_has_stopped_while_files_are_pending(domain: Domain) -> None:
    send(domain, range(10, 34), GOOD)
    send(domain, range(1, 34), GOOD, reporter="yahoo.com")
    waiting_file(domain, minutes=30)
    assert STOPPED not in opened(domain)
    with transaction() as session:
        session.execute(update(ReportFile).values(status="parsed"))
    assert STOPPED in opened(domain)
    waiting_file(domain, minutes=30)
    send(domain, range(1, 10), GOOD)
    assert STOPPED in opened(domain)  # what stands stays, too


def test_no_reporter_has_stopped_while_a_mailbox_fails(domain: Domain) -> None:
    store_dmarc_facts(domain, RUA)
    mailbox(domain.account_id)
    with transaction() as session:
        session.execute(update(ReportMailbox).values(failing_since=now(session) - DAY))
    assert opened(domain) == {}
    with transaction() as session:
        session.execute(update(ReportMailbox).values(failing_since=None))
    assert set(opened(domain)) == {"reports.none_received"}


def test_no_alert_is_evaluated_while_rollups_are_pending(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    report_monitor.enqueue_if_due()
    send(domain, range(4, 34), GOOD)
    send(domain, range(1, 3), record(count=80), failing_record(20))
    store(domain, Report([record(count=5000)], midnight(1)), is_pending=True)
    with monkeypatch.context() as hurry:
        hurry.setattr(rollup_queue, "MAX_WAIT_SECONDS", 0.0)  # there is no time to add it up
        assert opened(domain) == {}
    with transaction() as session:
        watch = session.get_one(ReportMonitor, domain.id)
        assert watch.due_at < now(session) + timedelta(minutes=15)
    assert "dmarc.compliance_dropped" not in opened(domain)


@pytest.mark.parametrize("missing", range(1, 34, 4))
def test_day_without_reports_opens_no_alert(domain: Domain, missing: int) -> None:
    for days in (range(1, missing), range(missing + 1, 34)):
        send(domain, days, record(count=1000), failing_record(60))
    assert open_problems(domain) == set()

"""Since when a policy is unchanged, and what is missing for an answer about it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import update
from sqlalchemy.engine import Engine

from app import ids
from app.analysis.mail.periods import Window
from app.db.transactions import transaction
from app.models import DmarcReport, DnsChange, Domain, DomainState
from app.protocols import timestamps
from app.services.analytics import policy as analytics_policy
from tests.support.checked_domains import store_results
from tests.support.factories import make_account, make_domain
from tests.support.stored_reports import DAY, POLICY, Report, record, store

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def new_domain(text: str = "v=DMARC1; p=none", name: str = "acme.test") -> Domain:
    """A verified domain that was scanned for the first time an hour ago."""
    domain = make_domain(make_account().id, name)
    store_results(domain, text, timestamps.text(NOW - timedelta(hours=1)))
    return domain


def store_month(domain: Domain, days: int = 40, **fields: Any) -> None:
    """Store daily reports of the days up to now."""
    for day in range(days):
        store(domain, Report([record(count=20)], NOW - (day + 1) * DAY, **fields))


def days_at_policy(domain: Domain) -> int | None:
    window = Window.between(NOW - 30 * DAY, NOW)
    readiness = analytics_policy.assess_readiness(domain.account_id, domain.name, window)
    return readiness.evidence.days_at_policy


def test_reports_from_before_the_first_scan_show_the_policy(database: Engine) -> None:
    domain = new_domain()
    store_month(domain)
    window = Window.between(NOW - 30 * DAY, NOW)
    readiness = analytics_policy.assess_readiness(domain.account_id, domain.name, window)
    assert readiness.published is not None
    assert readiness.published.since == NOW - 40 * DAY
    assert readiness.published.since_source == "reports"
    assert (readiness.verdict, readiness.is_ready) == ("ready", True)


def test_only_trusted_reports_about_the_domain_show_its_policy(database: Engine) -> None:
    domain = new_domain()
    store_month(domain, provenance="unverified")
    store_month(domain, about="news.acme.test")
    store_month(make_domain(make_account().id, "acme.test"))
    assert days_at_policy(domain) == 0


def test_another_policy_in_a_trusted_report_ends_the_time(database: Engine) -> None:
    domain = new_domain()
    store_month(domain)
    other = Report([record()], NOW - 12 * DAY, policy=POLICY | {"p": "reject"}, reporter="b.test")
    store(domain, replace(other, provenance="unverified"))
    assert days_at_policy(domain) == 40
    store(domain, other)
    assert days_at_policy(domain) == 11


def test_change_that_a_scan_saw_ends_the_time(database: Engine) -> None:
    domain = new_domain()
    store_month(domain)
    change = DnsChange(
        account_id=domain.account_id,
        domain_id=domain.id,
        scan_id=ids.new(),
        at=NOW - timedelta(minutes=59),
        check="dmarc",
        name="_dmarc.acme.test",
        type="TXT",
        before=["v=DMARC1; p=reject"],
        after=["v=DMARC1; p=none"],
    )
    with transaction() as session:
        session.add(change)
    assert days_at_policy(domain) == 0


def test_reports_about_the_parent_show_an_inherited_policy(database: Engine) -> None:
    parent = new_domain()
    store_month(parent)
    below = make_domain(parent.account_id, "news.acme.test")
    elsewhere = make_domain(make_account().id, "news.acme.test")
    facts = {
        "record": "v=DMARC1; p=none",
        "record_at": "acme.test",
        "org_domain": "acme.test",
        "policy_tag": "sp",
        "policy_since": timestamps.text(NOW - timedelta(hours=1)),
    }
    for domain in (below, elsewhere):
        results = {"dmarc": {"facts": facts, "records": []}}
        with transaction() as session:
            session.add(
                DomainState(domain_id=domain.id, account_id=domain.account_id, last_results=results)
            )
    assert (days_at_policy(below), days_at_policy(elsewhere)) == (40, 0)


def unmet(domain: Domain) -> tuple[bool, list[str]]:
    """Whether the domain is ready for the next policy, and what is missing for an answer."""
    window = Window.between(NOW - 30 * DAY, NOW)
    readiness = analytics_policy.assess_readiness(domain.account_id, domain.name, window)
    return readiness.is_ready, list(readiness.unmet_requirements)


def test_unreadable_records_can_hide_senders(database: Engine) -> None:
    domain = new_domain()
    store_month(domain)
    assert unmet(domain) == (True, [])
    with transaction() as session:
        report = (
            session.query(DmarcReport)
            .filter_by(domain_id=domain.id)
            .order_by(DmarcReport.end_at.desc())
            .first()
        )
        assert report is not None
        report.skipped_count = 1
    assert unmet(domain) == (
        False,
        ["the unreadable records of 1 report (they can hide senders)"],
    )


def test_no_recent_report_can_hide_senders(database: Engine) -> None:
    domain = new_domain()
    for day in range(9, 40):
        store(domain, Report([record(count=20)], NOW - (day + 1) * DAY))
    assert unmet(domain) == (False, ["a report about the last 7 days"])


def test_record_that_the_last_scan_could_not_determine_can_hide_senders(database: Engine) -> None:
    domain = new_domain()
    store_month(domain)
    for undetermined, missing in (
        ({"spf": "timeout"}, "the current SPF record, which the last scan could not determine"),
        ({"dmarc": "timeout"}, "the current DMARC record, which the last scan could not determine"),
    ):
        with transaction() as session:
            session.execute(
                update(DomainState)
                .where(DomainState.domain_id == domain.id)
                .values(undetermined=undetermined)
            )
        assert unmet(domain) == (False, [missing])

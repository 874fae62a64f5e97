"""The overview page: tiles that lead to lists, grades and policies."""

import re
from datetime import date, timedelta

from flask import Flask

from app import settings as app_settings
from app.db.transactions import transaction
from app.mailboxes.imap import ImapConfig
from app.models import Domain, DomainMail
from app.services.domain_status.mail_figures import DAYS
from app.services.filing import processor
from app.services.ingest import files
from app.services.mailboxes import mailboxes
from app.services.scans import scans
from app.settings import Settings
from app.web import pass_rate_chart
from tests.support.dashboard_browser import Browser
from tests.support.dashboard_pages import run_queued_scans
from tests.support.factories import ACTOR, add_email_channel, make_domain, make_key
from tests.support.people import colleague
from tests.support.report_documents import dmarc_xml


def test_tiles_and_policies_lead_to_the_domains_that_they_count(browser: Browser) -> None:
    policies = ("reject", "none", "none", None)
    for number, policy in enumerate(policies):
        domain = make_domain(browser.account_id, f"d{number}.test")
        with transaction() as session:
            row = session.get_one(Domain, domain.id)
            row.dmarc_policy = policy
            session.add(
                DomainMail(
                    domain_id=domain.id,
                    account_id=browser.account_id,
                    messages=50,
                    passed=49 if policy else 0,
                    version=0,
                    computed_at=row.created_at,
                )
            )
    page = browser.get("/")
    assert '<a href="/domains">4</a>' in page
    assert '<a href="/alerts">0</a>' in page
    assert re.search(r'<a href="/domains\?sort=rate">73.5.%</a>', page)
    assert f"{DAYS} days" in page
    link = '<a href="/domains?policy=none">p=none</a>'
    counted = page.partition(link)[2].partition('<span class="number">')[2]
    assert counted.startswith("2<")
    assert "Not determined yet" in page
    listed = re.findall(r'<a href="/domains/(d\d\.test)">', browser.get("/domains?policy=none"))
    assert sorted(listed) == ["d1.test", "d2.test"]


def done_steps(page: str) -> list[str]:
    """The titles of the first steps that are done."""
    return re.findall(r'<li class="done"><strong>([^<]*)', page)


def test_first_steps_are_done_one_after_the_other(browser: Browser, settings: Settings) -> None:
    app_settings.use(settings.replace(domain_verification="required"))
    page = browser.get("/")
    assert (page.count("<li><strong>"), done_steps(page)) == (5, [])
    domain = make_domain(browser.account_id, "acme.test")
    page = browser.get("/")
    assert done_steps(page) == ["Add a domain"]
    assert '<a href="/domains/acme.test">Verify acme.test</a>' in page
    assert "Last report received: none yet" in page
    with transaction() as session:
        row = session.get_one(Domain, domain.id)
        row.verified_at = row.created_at
    assert done_steps(browser.get("/")) == ["Add a domain", "Verify the domain"]
    files.store(browser.account_id, dmarc_xml("acme.test"), received_via="upload")
    processor.run([])
    page = browser.get("/")
    assert done_steps(page)[2:] == ["Start receiving reports"]
    assert re.search(r'Last report received: <a href="/reports/files"><time', page)
    add_email_channel(browser.account_id, "alerts", "ann@acme.test")
    assert done_steps(browser.get("/"))[3:] == ["Set up notifications"]
    make_key(browser.account_id)
    assert "Getting started" not in browser.get("/")


def test_connected_mailbox_is_a_way_to_receive_reports(browser: Browser) -> None:
    access = ImapConfig(host="imap.reports.test", username="reports", password="secret password")
    mailboxes.add(browser.account_id, access, actor=ACTOR)
    assert done_steps(browser.get("/")) == ["Start receiving reports"]


def test_without_verification_a_domain_needs_none(browser: Browser) -> None:
    make_domain(browser.account_id, "acme.test")
    assert done_steps(browser.get("/")) == ["Add a domain", "Verify the domain"]


def test_what_other_accounts_have_done_does_not_count(browser: Browser, stranger: Browser) -> None:
    make_domain(stranger.account_id, "other.test")
    make_key(stranger.account_id)
    assert done_steps(browser.get("/")) == []


def test_a_user_hides_the_first_steps_and_shows_them_again(app: Flask, browser: Browser) -> None:
    other = colleague(app, browser, "viewer")
    assert "Getting started is hidden" in browser.submit("/first-steps/hide")
    assert 'id="start"' not in browser.get("/")
    assert 'id="start"' in other.get("/")
    assert "/first-steps/show" in browser.get("/settings/account")
    assert "/first-steps/show" not in other.get("/settings/account")
    assert 'id="start"' in browser.submit("/first-steps/show")


def test_overview_says_what_changed_since_yesterday_with_links(browser: Browser) -> None:
    assert "What changed since yesterday" not in browser.get("/")
    make_domain(browser.account_id, "acme.test")
    assert "Nothing changed in the last 24 hours" in browser.get("/")
    for records in ({}, {("_dmarc.acme.test", "TXT"): ["v=DMARC1; p=reject"]}):
        scans.trigger(browser.account_id, "acme.test", actor=ACTOR)
        run_queued_scans(browser, {("acme.test", "TXT"): ["v=spf1 -all"], **records})
    page = browser.get("/")
    changes = page.partition("What changed since yesterday")[2].partition("</section>")[0]
    assert (
        '<a href="/domains/acme.test/history">The TXT record at _dmarc.acme.test was added.</a>'
        in changes
    )
    assert re.search(r'<a href="/domains/acme.test#check-dmarc">DMARC became better', changes)
    assert re.search(r'<a href="/alerts/alert_\w+">New alert', changes)
    for url in set(re.findall(r'<a href="([^"#]+)', changes)):
        browser.get(url)


def test_overview_draws_the_pass_rate_of_days_with_email() -> None:
    first = date(2026, 1, 1)
    days = [{"pass": 1, "fail": 1}, {}, {"pass": 3, "fail": 1}, {"pass": 4, "fail": 0}]
    chart = pass_rate_chart.draw([(first + timedelta(n), day) for n, day in enumerate(days)])
    assert [(point.label, point.rate, point.messages) for point in chart.points] == [
        ("01 Jan", 0.5, 2),
        ("03 Jan", 0.75, 4),
        ("04 Jan", 1.0, 4),
    ]
    assert [line.count(",") for line in chart.lines] == [1, 2]
    assert all(chart.frame.left < point.x < chart.frame.right for point in chart.points)
    assert pass_rate_chart.draw([]).lines == []

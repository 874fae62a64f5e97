"""A domain's email in the dashboard: charts, senders, policy readiness and simulation."""

import re

import pytest

from app.services.filing import processor
from app.services.ingest import files
from tests.support.dashboard_browser import Browser
from tests.support.factories import make_domain
from tests.support.report_documents import DAY, YESTERDAY, dmarc_xml, record, tls_json


@pytest.fixture
def owner(browser: Browser) -> Browser:
    """A user whose domain has reports for three days."""
    make_domain(browser.account_id, "acme.test")
    for day in range(3):
        begin = YESTERDAY - day * DAY
        records = [
            record(ip="192.0.2.1", count=900),
            record(ip="198.51.100.9", count=100, dkim="fail", spf="fail"),
        ]
        raw = dmarc_xml(report_id=f"r{day}", records=records, begin=begin, end=begin + DAY - 1)
        files.store(browser.account_id, raw, received_via="dashboard")
    files.store(browser.account_id, tls_json(), received_via="dashboard")
    processor.run([])
    return browser


def test_chart_shows_messages_by_day_with_a_table(owner: Browser) -> None:
    page = owner.get("/domains/acme.test/mail")
    assert page.count('class="s-pass" x=') == 3
    assert page.count('class="s-fail" x=') == 3
    numbers = page.partition("View as table")[2]
    row = r'>900</a></td><td class="number"><a [^>]+>100</a>'
    assert len(re.findall(row, numbers)) == 3
    assert "90.0 %" in page


def test_senders_are_listed_with_their_type(owner: Browser) -> None:
    page = owner.get("/domains/acme.test/mail?days=7")
    assert "<code>192.0.2.1</code>" in page
    assert 'class="mark own"' in page


def test_user_classifies_a_source(owner: Browser) -> None:
    page = owner.get("/domains/acme.test/mail")
    source = page.partition('name="source" value="')[2].partition('"')[0]
    response = owner.post("/domains/acme.test/sources", source=source, state="ignored", days="90")
    assert response.headers["Location"] == "/domains/acme.test/mail?days=90"
    assert 'class="mark ignored"' in owner.get("/domains/acme.test/mail")
    assert "source.decided" in owner.get("/settings/audit")
    for form in ({"source": source, "state": "x"}, {"source": "unknown", "state": "ignored"}):
        assert owner.post("/domains/acme.test/sources", **form).status_code in (400, 404)


def test_chart_shows_tls_sessions_with_failures(owner: Browser) -> None:
    page = owner.get("/domains/acme.test/mail")
    assert "certificate-expired" in page
    assert 'class="s-failed" x=' in page


def test_policy_is_simulated(owner: Browser) -> None:
    page = owner.get("/domains/acme.test/policy?p=reject&sp=&adkim=s&aspf=&remove_spf=&days=30")
    result = page.partition('id="result"')[2]
    assert ">3k messages</a>" in result
    assert "<dd>300</dd>" in result


@pytest.mark.parametrize("query", ["p=sometimes", "p=none&sp=x", "p=none&adkim=z"])
def test_invalid_policy_is_refused(owner: Browser, query: str) -> None:
    owner.get(f"/domains/acme.test/policy?{query}", 400)


def test_unknown_spf_term_shows_an_error_next_to_the_field(owner: Browser) -> None:
    page = owner.get("/domains/acme.test/policy?p=none&remove_spf=include:unknown.test")
    assert 'id="error-spf"' in page


def test_page_without_reports_links_to_the_reporting_setup(browser: Browser) -> None:
    make_domain(browser.account_id, "quiet.test")
    assert "Set up reporting" in browser.get("/domains/quiet.test/mail")
    assert "No messages were reported" in browser.get("/domains/quiet.test/policy?p=none")


def test_email_of_another_account_is_not_found(owner: Browser, stranger: Browser) -> None:
    stranger.get("/domains/acme.test/mail", 404)
    form = {"source": "x", "state": "ignored"}
    assert stranger.post("/domains/acme.test/sources", **form).status_code == 404

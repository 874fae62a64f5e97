"""The Policy page: a verdict in one sentence, decisions on the spot, and one record to publish."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from app.models import Domain
from app.protocols.report_formats.aggregate import Record, SpfResult
from tests.support.checked_domains import store_results
from tests.support.dashboard_browser import Browser
from tests.support.factories import make_domain
from tests.support.stored_reports import Report, record, store

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
NOTHING = {"dkim": False, "spf": False, "dkim_results": (), "spf_results": ()}
OWN = record("192.0.2.1", 100)
MAILCHIMP = record(
    "203.0.113.77", 20, **NOTHING | {"spf_results": (SpfResult("x.mcsv.net", "mfrom", "pass"),)}
)
SPOOFED = [record(f"198.51.100.{n}", 5, **NOTHING) for n in range(150, 153)]
QUARANTINE = "v=DMARC1; p=quarantine; rua=mailto:d@acme.test"
HEADLINE = re.compile(r'<h2 id="verdict" class="headline (\w+)">([^<]+)</h2>')


@pytest.fixture
def domain(browser: Browser) -> Domain:
    """A domain that has been at p=quarantine for a long time."""
    domain = make_domain(browser.account_id, "acme.test")
    store_results(domain, QUARANTINE)
    return domain


def report(domain: Domain, *rows: Record, days: int = 20) -> None:
    for day in range(days):
        store(domain, Report([*rows], NOW - timedelta(days=day + 1)))


def headline(browser: Browser) -> tuple[str, str]:
    """The look and the text of the verdict."""
    match = HEADLINE.search(browser.get("/domains/acme.test/policy"))
    assert match is not None
    return match[1], match[2]


def test_domain_without_failing_mail_is_ready(browser: Browser, domain: Domain) -> None:
    report(domain, OWN)
    assert headline(browser) == (
        "ok",
        "Ready for p=reject: 0 of 2,000 legitimate messages would have been lost in 20 days",
    )
    page = browser.get("/domains/acme.test/policy")
    assert page.count("v=DMARC1; p=reject") == 1
    assert page.count(QUARANTINE) == 1  # the rollback
    assert re.search(r'aria-current="step"><code>p=quarantine</code> <[^>]+>Today<', page)
    assert re.search(r'class="next"><code>p=reject</code>', page)


def test_blocker_is_decided_on_the_page_and_the_decision_is_undone(
    browser: Browser, domain: Domain
) -> None:
    report(domain, OWN, MAILCHIMP)
    assert headline(browser) == ("fail", "Not ready for p=reject: 1 sender to review")
    page = browser.get("/domains/acme.test/policy")
    assert "Set-up instructions of Mailchimp" in page
    assert "v=DMARC1; p=reject" not in page
    form = {"source": "service:Mailchimp", "next": "/domains/acme.test/policy?days=30"}
    response = browser.post("/domains/acme.test/sources", state="blocked", **form)
    assert response.headers["Location"] == form["next"]
    page = browser.get(form["next"])
    assert "Ready for p=reject" in page
    undo = re.search(r'action="(/undo/[0-9a-f]{64})"', page)
    assert undo is not None
    assert browser.post(undo[1]).headers["Location"] == form["next"]
    assert headline(browser) == ("fail", "Not ready for p=reject: 1 sender to review")


def test_own_sender_that_fails_is_to_be_set_up(browser: Browser, domain: Domain) -> None:
    report(domain, OWN, MAILCHIMP)
    form = {"source": "service:Mailchimp", "next": "/domains/acme.test/policy"}
    browser.post("/domains/acme.test/sources", state="approved", **form)
    assert headline(browser) == ("fail", "Not ready for p=reject: 1 sender to set up")
    page = browser.get("/domains/acme.test/policy")
    assert 'value="blocked"' in page
    assert 'value="approved"' not in page


def test_next_page_after_a_decision_is_a_page_of_this_site(
    browser: Browser, domain: Domain
) -> None:
    report(domain, OWN, MAILCHIMP)
    for address in ("https://evil.test/", "//evil.test", "/\\evil.test"):
        form = {"source": "service:Mailchimp", "state": "blocked", "next": address}
        assert browser.post("/domains/acme.test/sources", **form).headers["Location"] == "/"


def test_affected_mail_is_shown_in_three_parts(browser: Browser, domain: Domain) -> None:
    report(domain, OWN, MAILCHIMP, *SPOOFED)
    page = browser.get("/domains/acme.test/policy")
    assert re.findall(r"<dt>([^<]+)</dt><dd>([\d,]+)</dd>", page)[:3] == [
        ("Your email affected", "0"),
        ("To review", "400"),
        ("Spoofed email stopped", "300"),
    ]


def test_unauthenticated_addresses_are_one_row_with_a_count(
    browser: Browser, domain: Domain
) -> None:
    report(domain, OWN, *SPOOFED)
    page = browser.get("/domains/acme.test/policy?p=reject")
    assert page.count(">3 unauthenticated addresses</a>") == 2  # the verdict and the simulation
    assert ">198.51.100.150<" not in page


@pytest.mark.parametrize(("days", "text"), [(9, "reports from 14 days (received so far: 9)")])
def test_missing_data_is_named(browser: Browser, domain: Domain, days: int, text: str) -> None:
    report(domain, OWN, days=days)
    assert headline(browser) == ("undetermined", "Not ready for p=reject: not enough data yet")
    page = browser.get("/domains/acme.test/policy")
    assert text in page
    assert "Record to publish" not in page


def test_subdomains_have_their_own_section(browser: Browser) -> None:
    domain = make_domain(browser.account_id, "acme.test")
    store_results(domain, "v=DMARC1; p=none; sp=none")
    report(domain, OWN, replace_author(OWN), days=20)
    page = browser.get("/domains/acme.test/policy")
    top, _, below = page.partition('<h2 id="subdomains">Subdomains</h2>')
    assert "sp=quarantine" not in top
    assert "<code>sp</code>: none → quarantine" in below


def test_fully_enforced_domain_needs_no_record(browser: Browser) -> None:
    domain = make_domain(browser.account_id, "acme.test")
    store_results(domain, "v=DMARC1; p=reject")
    report(domain, OWN)
    assert headline(browser) == (
        "ok",
        "p=reject is in place for the domain and its subdomains",
    )
    assert "Record to publish" not in browser.get("/domains/acme.test/policy")


def test_policy_page_without_a_scan_says_what_is_missing(browser: Browser) -> None:
    report(make_domain(browser.account_id, "acme.test"), OWN)
    page = browser.get("/domains/acme.test/policy")
    assert "Not ready for p=quarantine: not enough data yet" in page
    assert "a scan of the DMARC record" in page


def test_policy_of_another_account_is_not_found(
    domain: Domain, browser: Browser, stranger: Browser
) -> None:
    stranger.get("/domains/acme.test/policy", 404)


def replace_author(row: Record) -> Record:
    """The same mail of a subdomain."""
    return row._replace(header_from="news.acme.test")

"""A domain's email in the dashboard: charts, senders, policy readiness and simulation."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from app.protocols.report_formats.aggregate import SpfResult
from app.services.filing import processor
from app.services.ingest import files
from tests.support import stored_reports
from tests.support.dashboard_browser import Browser
from tests.support.factories import make_domain
from tests.support.report_documents import DAY, YESTERDAY, dmarc_xml, record, tls_json

SENDERS = "/domains/acme.test/mail"
FORMULA = (SpfResult("=cmd.test", "mfrom", "pass"),)


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
    row = r'>900</a></td><td [^>]+data-name="Fail"><a [^>]+>100</a>'
    assert len(re.findall(row, numbers)) == 3
    assert "90.0 %" in page


def test_senders_are_listed_with_their_type(owner: Browser) -> None:
    page = owner.get("/domains/acme.test/mail?days=7")
    assert "<code>192.0.2.1</code>" in page
    assert 'class="mark own"' in page


@pytest.fixture
def senders(browser: Browser) -> Browser:
    """A user whose domain has senders in each segment."""
    domain = make_domain(browser.account_id, "acme.test")
    failed = {"dkim": False, "spf": False, "dkim_results": (), "spf_results": ()}
    forwarded = {"spf": False, "spf_results": (SpfResult("lists.test", "mfrom", "pass"),)}
    rows = [
        stored_reports.record("192.0.2.1", 900),
        stored_reports.record("203.0.113.5", 40, **failed | {"spf_results": FORMULA}),
        stored_reports.record("203.0.113.6", 30, **forwarded),
        *(stored_reports.record(f"198.51.100.{n}", 10, **failed) for n in range(1, 4)),
    ]
    begin = datetime.now(UTC) - timedelta(days=2)
    stored_reports.store(domain, stored_reports.Report(rows, begin=begin))
    return browser


def tabs(page: str) -> dict[str, int]:
    """The segments of senders with their counts."""
    nav = page.partition('aria-label="Senders">')[2].partition("</nav>")[0]
    return {name: int(n) for name, n in re.findall(r">([\w ]+) <[^>]+>(\d+)<", nav)}


def rows_of(page: str) -> list[str]:
    """The names of the senders that are listed."""
    table = page.partition('id="sources"')[2].partition("</section>")[0]
    cells = re.findall(r'<th scope="row" role="rowheader">(.*?)<(?:details|/th)', table, re.DOTALL)
    return [re.sub(r"<[^>]+>", "", cell).strip() for cell in cells]


def test_segments_of_senders_are_tabs_with_counts(senders: Browser) -> None:
    page = senders.get(SENDERS)
    counts = {"All": 4, "Yours": 1, "Needs review": 1, "Forwarders": 1, "Unauthenticated": 1}
    assert tabs(page) == counts
    names = ["Own servers", "=cmd.test", "3 unauthenticated addresses", "lists.test"]
    assert sorted(rows_of(page)) == sorted(names)
    for segment, name in (
        ("yours", "Own servers"),
        ("review", "=cmd.test"),
        ("forwarders", "lists.test"),
        ("unauthenticated", "3 unauthenticated addresses"),
    ):
        page = senders.get(f"{SENDERS}?segment={segment}")
        assert tabs(page) == counts
        assert rows_of(page) == [name]


def test_row_of_unauthenticated_addresses_opens_their_list(senders: Browser) -> None:
    link = re.search(r'<a href="([^"]+)">3 unauthenticated addresses<', senders.get(SENDERS))
    assert link is not None
    page = senders.get(unescape(link[1]))
    assert rows_of(page) == [f"198.51.100.{n}" for n in range(1, 4)]
    assert "3 addresses, 30 messages, 30 failed" in page


def test_senders_are_searched_and_sorted(senders: Browser) -> None:
    assert rows_of(senders.get(f"{SENDERS}?q=203.0.113&sort=name")) == ["=cmd.test", "lists.test"]
    assert rows_of(senders.get(f"{SENDERS}?sort=failed"))[0] == "=cmd.test"
    page = senders.get(f"{SENDERS}?q=absent&segment=yours")
    assert "No senders in this list match “absent”" in page
    assert "Clear filters" in page
    assert "was not applied" in senders.get(f"{SENDERS}?segment=x&sort=y")


def test_senders_are_exported_with_the_filters_and_without_formulas(senders: Browser) -> None:
    def export(query: str) -> list[dict[str, str]]:
        text = senders.get(f"{SENDERS}/senders/file?format=csv{query}")
        return list(csv.DictReader(io.StringIO(text)))

    assert {row["segment"] for row in export("")} == {
        *("yours", "review", "forwarders", "unauthenticated")
    }
    assert sum(int(row["messages"]) for row in export("")) == 1_000
    (row,) = export("&segment=review")
    assert (row["name"], row["failed"]) == ("'=cmd.test", "40")
    assert [row["name"] for row in export("&q=203.0.113&sort=name")] == ["'=cmd.test", "lists.test"]
    assert len(export("&segment=unauthenticated&addresses=1")) == 3
    senders.get(f"{SENDERS}/senders/file?format=xls", 400)


def test_sender_is_decided_in_its_row_and_the_decision_is_undone(senders: Browser) -> None:
    here = f"{SENDERS}?segment=review"
    page = senders.get(here)
    assert f'name="next" value="{here}"' in page
    form = {"source": "domain:=cmd.test", "next": here}
    page = senders.submit("/domains/acme.test/sources", state="ignored", **form)
    assert "was saved: Ignored." in page
    assert tabs(page) == {
        **{"All": 4, "Yours": 1, "Needs review": 0, "Forwarders": 1, "Unauthenticated": 1}
    }
    assert rows_of(page) == []
    assert 'name="state" value=""' in senders.get(SENDERS)  # Reset
    undo = re.search(r'action="(/undo/[0-9a-f]{64})"', page)
    assert undo is not None
    assert rows_of(senders.submit(undo[1])) == ["=cmd.test"]


def test_page_after_a_decision_is_the_list_with_its_search(senders: Browser) -> None:
    page = senders.get(f"{SENDERS}?segment=review&q=%3Dcmd")
    here = unescape(page.partition('name="next" value="')[2].partition('"')[0])
    assert here == f"{SENDERS}?segment=review&q=%3Dcmd"
    form = {"source": "domain:=cmd.test", "state": "blocked", "next": here}
    assert senders.post("/domains/acme.test/sources", **form).headers["Location"] == here


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

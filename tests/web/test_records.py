"""The DMARC records behind the figures of a domain's email: links, filters and downloads."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask

from app import ids
from app.models import Domain
from app.protocols.report_formats.aggregate import SpfResult
from app.protocols.report_formats.aggregate.records import Reason
from tests.support.api_client import make_client
from tests.support.dashboard_browser import Browser
from tests.support.factories import make_domain
from tests.support.stored_reports import DAY, Report, record, store

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
PATH = "/domains/acme.test/records"


@pytest.fixture
def domain(browser: Browser) -> Domain:
    """A domain with three senders, one of which fails DMARC."""
    domain = make_domain(browser.account_id, "acme.test")
    forwarded = (SpfResult("forwarder.test", "mfrom", "pass"),)
    for day in range(1, 4):
        rows = [
            record("192.0.2.1", 900 + day),
            record("192.0.2.2", 30, spf=False, spf_results=forwarded, header_from="n.acme.test"),
            record(
                "198.51.100.9",
                70,
                dkim=False,
                spf=False,
                disposition="quarantine",
                dkim_results=(),
                spf_results=(),
            ),
        ]
        store(domain, Report(rows, begin=TODAY - day * DAY, length=DAY - timedelta(seconds=1)))
    rows = [record("2001:db8::5", 9)]
    begin = TODAY - 5 * DAY
    store(domain, Report(rows, begin, reporter="small.test", provenance="unverified"))
    return domain


def links(page: str) -> list[tuple[str, str]]:
    """(address, text) of every link to records on the page."""
    matches = re.findall(rf'<a [^>]*?href="({PATH}[^"]*)"[^>]*>(.*?)</a>', page, re.DOTALL)
    return [(unescape(address), re.sub("<[^>]+>", "", words).strip()) for address, words in matches]


def total(page: str) -> int:
    """The total of the records as the page shows it."""
    match = re.search(r"([0-9,]+) messages? in \d+ record", page)
    return int(match[1].replace(",", "")) if match else 0


def test_every_figure_links_to_records_with_the_same_total(
    browser: Browser, domain: Domain
) -> None:
    figures = links(browser.get("/domains/acme.test/mail"))
    counts = [(words, total(browser.get(address))) for address, words in figures]
    exact = [(words, count) for words, count in counts if re.match("[0-9,]+$", words)]
    assert all(int(words.replace(",", "")) == count for words, count in exact)
    sources, others = {("2,715", 2715), ("90", 90), ("210", 210)}, {("3,006", 3006), ("9", 9)}
    assert sources | others <= set(exact)  # others: of each reporter
    assert {
        *(("View records", 3015), ("210 failed", 210), ("210 quarantined", 210)),
        *(("9 messages", 9), ("192.0.2.2", 90), ("2001:db8::5", 9)),
    } <= set(counts)


def test_chart_links_to_the_records_of_a_day(browser: Browser, domain: Domain) -> None:
    page = browser.get("/domains/acme.test/mail").partition("View as table")[2]
    shown = {
        words: total(browser.get(address))
        for address, words in links(page.partition("</table>")[0])
    }
    assert shown[f"{TODAY - DAY:%d %b}"] == 901 + 30 + 70
    assert shown["931"] == 931


def test_simulation_links_to_the_affected_records(browser: Browser, domain: Domain) -> None:
    page = browser.get("/domains/acme.test/policy?p=reject&sp=&adkim=&aspf=&remove_spf=&days=30")
    figures = {words: total(browser.get(address)) for address, words in links(page)}
    assert figures == {"3k messages": 3015, "210 messages": 210, "210": 210}


def test_senders_of_a_policy_step_link_to_the_affected_records(
    browser: Browser, domain: Domain
) -> None:
    forged = {"dkim": False, "spf": False, "dkim_results": (), "spf_results": ()}
    rows = [
        record("198.51.100.9", 4, header_from="n.acme.test", **forged),
        record("192.0.2.2", 5, **forged | {"reasons": (Reason("forwarded", None),)}),
    ]
    store(domain, Report(rows, begin=TODAY - 2 * DAY))
    page = browser.get("/domains/acme.test/policy").partition("Simulate a policy")[0]
    steps = [(words, total(browser.get(address))) for address, words in links(page)]
    assert steps == [
        *(("5 messages", 5), ("214 messages", 214)),  # p: at a forwarder, and spoofed
        *(("4 messages", 4), ("4 messages", 4)),  # sp and np
    ]


def test_identities_of_a_source_link_to_their_records(browser: Browser, domain: Domain) -> None:
    figures = dict.fromkeys(links(browser.get("/domains/acme.test/mail")))
    counts = [(words, total(browser.get(address))) for address, words in figures]
    assert counts.count(("acme.test (s1)", 2706 + 9)) == 1  # of the domain's own servers
    assert counts.count(("acme.test (s1)", 90)) == 1  # of what was passed on
    assert ("forwarder.test", 90) in counts


def test_source_without_addresses_has_no_link(browser: Browser, domain: Domain) -> None:
    page = browser.get("/domains/acme.test/mail")
    assert all("sourceIp=&" not in address for address, _ in links(page))


def test_each_filter_has_a_label_and_can_be_removed(browser: Browser, domain: Domain) -> None:
    query = "from=2026-01-01T00:00Z&result=fail&headerFrom=acme.test&sourceIp=192.0.2.1,192.0.2.2"
    page = browser.get(f"{PATH}?{query}&dkim=perhaps&reporter=google.com")
    figures = {words: parse_qs(urlsplit(address).query) for address, words in links(page)}
    without = {
        words: query for words, query in figures.items() if words.startswith("×Remove filter")
    }
    assert set(without) == {
        "×Remove filter “Since 2026-01-01 00:00 UTC”",
        "×Remove filter “Failed DMARC”",
        "×Remove filter “Header From: acme.test”",
        "×Remove filter “Reported by google.com”",
        "×Remove filter “Source: 192.0.2.1”",
        "×Remove filter “Source: 192.0.2.2”",
    }
    assert without["×Remove filter “Source: 192.0.2.1”"]["sourceIp"] == ["192.0.2.2"]
    assert "result" not in without["×Remove filter “Failed DMARC”"]
    assert without["×Remove filter “Failed DMARC”"]["from"] == ["2026-01-01T00:00"]


def test_dkim_and_spf_filters_have_labels(browser: Browser, domain: Domain) -> None:
    query = "subdomainsOnly=true&dkimDomain=acme.test&dkimSelector=s1&dkimResult=pass"
    page = browser.get(f"{PATH}?{query}&spfDomain=forwarder.test&spfResult=pass")
    for words in (
        *("Header From: subdomains only", "DKIM domain: acme.test", "DKIM selector: s1"),
        *("DKIM result: pass", "Envelope From: forwarder.test", "SPF result: pass"),
    ):
        assert f"Remove filter “{words}”" in page
    assert total(page) == 90
    hidden = re.findall('type="hidden" name="([^"]+)"', page.partition("More filters")[2])
    assert set(hidden) >= {"subdomainsOnly", "dkimResult", "spfResult"}
    assert "DKIM result: not pass" in browser.get(f"{PATH}?dkimResult=not_pass")


def test_many_addresses_share_one_filter_label(browser: Browser, domain: Domain) -> None:
    addresses = [f"192.0.2.{number}" for number in range(50)]
    page = browser.get(f"{PATH}?sourceIp={','.join(addresses)}")
    assert "Source: 192.0.2.0 and 49 more" in page
    assert total(page) == 2706 + 90


def test_record_links_to_its_report(browser: Browser, domain: Domain) -> None:
    reasons = (Reason("local_policy", "<b>arc=pass</b>"),)
    row = record("203.0.113.4", 10, reasons=reasons, header_from="<i>.acme.test")
    report_id = store(domain, Report([row], TODAY - 9 * DAY))
    page = browser.get(f"{PATH}?sourceIp=203.0.113.4")
    assert "local_policy: &lt;b&gt;arc=pass&lt;/b&gt;" in page
    assert "&lt;i&gt;.<wbr>acme.<wbr>test" in page
    link = f"/reports/dmarc/{ids.public('dmr', report_id)}"
    assert f'href="{link}"' in page
    assert "203.0.113.4" in browser.get(link)


def test_report_over_several_days_shows_the_share_of_the_period(
    browser: Browser, domain: Domain
) -> None:
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    store(domain, Report([record("203.0.113.4", 10)], begin, length=4 * DAY))
    page = browser.get(f"{PATH}?sourceIp=203.0.113.4&from=2026-03-01&to=2026-03-02")
    assert total(page) == 3
    assert "of 10" in page


def test_records_are_paginated(browser: Browser, domain: Domain) -> None:
    store(domain, Report([record(f"10.0.0.{n}") for n in range(120)], TODAY - 9 * DAY))
    page, all_rows = browser.get(f"{PATH}?to={TODAY - 8 * DAY:%Y-%m-%d}"), set[str]()
    for _ in range(3):
        rows = set(re.findall(r"<code>(10\.0\.0\.\d+)</code>", page))
        assert not rows & all_rows
        all_rows |= rows
        assert "messages in" not in page
        following = [address for address, words in links(page) if words == "Next page"]
        page = browser.get(following[0]) if following else ""
    assert len(all_rows) == 120
    assert page == ""


def test_download_matches_the_api(app: Flask, browser: Browser, domain: Domain) -> None:
    store(domain, Report([record("=cmd", reasons=(Reason("other", "é"),))], TODAY - 9 * DAY))
    client = make_client(app, browser.account_id)
    filters = "result=pass&from=2026-01-01T00:00Z&dkimDomain=acme.test&dkimSelector=s1"
    for kind in ("csv", "ndjson"):
        ours = browser.client.get(f"{PATH}/file?{filters}&format={kind}")
        link = f"/v1/reports/dmarc/records?domain=acme.test&{filters}&format={kind}"
        theirs = client("GET", link)
        assert ours.data == theirs.data
        assert ours.data.count(b"\n") >= 8
        name = f'attachment; filename="dmarc-records.{kind}"'
        assert ours.headers["Content-Disposition"] == name
        assert ours.mimetype == theirs.mimetype
    browser.get(f"{PATH}/file?format=xml", 400)


def test_download_with_too_many_rows_is_refused(
    browser: Browser, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.reports.exports.MAX_ROWS", 3)
    assert "narrow the list" in browser.get(f"{PATH}/file?format=csv", 400)


def test_invalid_address_shows_an_error_next_to_the_field(browser: Browser, domain: Domain) -> None:
    for text in ("hello", ",".join(["192.0.2.1"] * 51)):
        assert 'id="error-sourceIp"' in browser.get(f"{PATH}?sourceIp={text}", 400)
        browser.get(f"{PATH}/file?format=csv&sourceIp={text}", 400)


@pytest.mark.parametrize(
    "query",
    [
        *("from=x&to=%00", "from=0001-01-01T00:00%2B14:00", "to=9999-12-31T23:59-12:00"),
        *("result=&dkim=&reporter=", "headerFrom=%00a", "from=2026-02-01&to=2026-01-01"),
        "sourceIp=,,%20,",
    ],
)
def test_invalid_filters_are_ignored(browser: Browser, domain: Domain, query: str) -> None:
    browser.get(f"{PATH}?{query}")


def test_cursor_of_another_list_is_refused(browser: Browser, domain: Domain) -> None:
    browser.get(f"{PATH}?cursor=AAAA", 400)


def test_records_of_another_account_are_not_found(
    browser: Browser, stranger: Browser, domain: Domain
) -> None:
    stranger.get(PATH, 404)
    stranger.get(f"{PATH}/file?format=csv", 404)


def test_column_and_bars_of_the_chart_link_to_their_records(
    browser: Browser, domain: Domain
) -> None:
    chart = browser.get("/domains/acme.test/mail").partition('<svg class="chart"')[2]
    column = chart.partition("</svg>")[0].split('<g class="column">')[-1]
    title = unescape(column.partition("<title>")[2].partition("</title>")[0])
    day, *figures = title.split(" · ")
    assert day == f"{TODAY - DAY:%d %b}"
    addresses = [unescape(text) for text in re.findall(r'<a href="([^"]+)"', column)]
    passed, failed = (int(figure.split()[-1].replace(",", "")) for figure in figures)
    assert [total(browser.get(address)) for address in addresses] == [
        passed + failed,
        passed,
        failed,
    ]

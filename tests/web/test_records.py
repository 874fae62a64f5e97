"""The records behind figures of a domain's mail: where figures lead, and what is shown there."""

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
from tests.api.conftest import make_client
from tests.factories import make_domain
from tests.reports import DAY, Report, record, store
from tests.web.conftest import Browser

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
PATH = "/domains/acme.test/records"


@pytest.fixture
def domain(browser: Browser) -> Domain:
    """A domain that three sources send as, one of them badly."""
    domain = make_domain(browser.account_id, "acme.test")
    forwarded = (SpfResult("forwarder.test", "mfrom", "pass"),)
    for day in range(1, 4):
        rows = [
            record("192.0.2.1", 900 + day),
            record("192.0.2.2", 30, spf=False, spf_results=forwarded, header_from="n.acme.test"),
            record("198.51.100.9", 70, dkim=False, spf=False, disposition="quarantine",
                   dkim_results=(), spf_results=()),
        ]  # fmt: skip
        store(domain, Report(rows, begin=TODAY - day * DAY, length=DAY - timedelta(seconds=1)))
    rows = [record("2001:db8::5", 9)]
    begin = TODAY - 5 * DAY
    store(domain, Report(rows, begin, reporter="small.test", provenance="unverified"))
    return domain


def links(page: str) -> list[tuple[str, str]]:
    """(address, words) of every link to records on the page."""
    found = re.findall(rf'<a [^>]*?href="({PATH}[^"]*)"[^>]*>(.*?)</a>', page, re.DOTALL)
    return [(unescape(address), re.sub("<[^>]+>", "", words).strip()) for address, words in found]


def total(page: str) -> int:
    """What the records of a page add up to, as it says itself."""
    found = re.search(r"([0-9,]+) messages? in \d+ record", page)
    return int(found[1].replace(",", "")) if found else 0


def test_every_figure_leads_to_records_that_add_up_to_it(browser: Browser, domain: Domain) -> None:
    found = links(browser.get("/domains/acme.test/mail"))
    counts = [(words, total(browser.get(address))) for address, words in found]
    exact = [(words, count) for words, count in counts if re.match("[0-9,]+$", words)]
    assert all(int(words.replace(",", "")) == count for words, count in exact)
    sources, others = {("2,715", 2715), ("90", 90), ("210", 210)}, {("3,006", 3006), ("9", 9)}
    assert sources | others <= set(exact)  # others: of each reporter
    assert {
        *(("The records", 3015), ("210 failed", 210), ("210 quarantine", 210)),
        *(("9 messages", 9), ("192.0.2.2", 90), ("2001:db8::5", 9)),
    } <= set(counts)


def test_the_chart_leads_to_the_records_of_a_day(browser: Browser, domain: Domain) -> None:
    page = browser.get("/domains/acme.test/mail").partition("The numbers")[2]
    shown = {
        words: total(browser.get(address))
        for address, words in links(page.partition("</table>")[0])
    }
    assert shown[f"{TODAY - DAY:%d %b}"] == 901 + 30 + 70
    assert shown["931"] == 931


def test_what_stands_in_the_way_of_a_policy_leads_to_its_records(
    browser: Browser, domain: Domain
) -> None:
    page = browser.get("/domains/acme.test/policy?p=reject&sp=&adkim=&aspf=&remove_spf=&days=30")
    found = {words: total(browser.get(address)) for address, words in links(page)}
    assert found == {"3k messages": 3015, "210 messages": 210, "210": 210}


def test_the_sources_of_what_a_step_meets_lead_to_its_part_of_their_mail(
    browser: Browser, domain: Domain
) -> None:
    forged = {"dkim": False, "spf": False, "dkim_results": (), "spf_results": ()}
    rows = [
        record("198.51.100.9", 4, header_from="n.acme.test", **forged),
        record("192.0.2.2", 5, **forged | {"reasons": (Reason("forwarded", None),)}),
    ]
    store(domain, Report(rows, begin=TODAY - 2 * DAY))
    page = browser.get("/domains/acme.test/policy").partition("What if?")[0]
    steps = [
        [(words, total(browser.get(address))) for address, words in links(part)]
        for part in page.split("<article")[1:]
    ]
    assert steps == [[("214", 214), ("5", 5)], [("4", 4)], [("4", 4)]]
    assert "214 forged messages would be stopped" in page
    assert "5 good messages of forwarders and small sources would be lost" in page


def test_the_results_of_a_source_lead_to_their_records(browser: Browser, domain: Domain) -> None:
    found = dict.fromkeys(links(browser.get("/domains/acme.test/mail")))
    counts = [(words, total(browser.get(address))) for address, words in found]
    assert counts.count(("acme.test (s1)", 2706 + 9)) == 1  # of the domain's own servers
    assert counts.count(("acme.test (s1)", 90)) == 1  # of what was passed on
    assert ("forwarder.test", 90) in counts


def test_a_source_without_addresses_leads_nowhere(browser: Browser, domain: Domain) -> None:
    page = browser.get("/domains/acme.test/mail")
    assert all("sourceIp=&" not in address for address, _ in links(page))


def test_filters_are_said_in_words_and_taken_away_one_by_one(
    browser: Browser, domain: Domain
) -> None:
    query = "from=2026-01-01T00:00Z&result=fail&headerFrom=acme.test&sourceIp=192.0.2.1,192.0.2.2"
    page = browser.get(f"{PATH}?{query}&dkim=perhaps&reporter=google.com")
    found = {words: parse_qs(urlsplit(address).query) for address, words in links(page)}
    without = {words: query for words, query in found.items() if words.startswith("×Without")}
    assert set(without) == {
        "×Without “since 2026-01-01 00:00 UTC”",
        "×Without “failed DMARC”",
        "×Without “author at acme.test”",
        "×Without “told by google.com”",
        "×Without “sent by 192.0.2.1”",
        "×Without “sent by 192.0.2.2”",
    }
    assert without["×Without “sent by 192.0.2.1”"]["sourceIp"] == ["192.0.2.2"]
    assert "result" not in without["×Without “failed DMARC”"]
    assert without["×Without “failed DMARC”"]["from"] == ["2026-01-01T00:00"]


def test_signatures_and_envelopes_are_said_in_words(browser: Browser, domain: Domain) -> None:
    query = "below=true&dkimDomain=acme.test&dkimSelector=s1&dkimResult=pass"
    page = browser.get(f"{PATH}?{query}&spfDomain=forwarder.test&spfResult=pass")
    for words in (
        *("author below the domain", "signed by acme.test", "DKIM selector s1", "signature: pass"),
        *("envelope from forwarder.test", "SPF result: pass"),
    ):
        assert f"Without “{words}”" in page
    assert total(page) == 90
    hidden = re.findall('type="hidden" name="([^"]+)"', page.partition("Other filters")[2])
    assert set(hidden) >= {"below", "dkimResult", "spfResult"}
    assert "signature: not valid" in browser.get(f"{PATH}?dkimResult=not_pass")


def test_many_addresses_are_one_filter(browser: Browser, domain: Domain) -> None:
    addresses = [f"192.0.2.{number}" for number in range(50)]
    page = browser.get(f"{PATH}?sourceIp={','.join(addresses)}")
    assert "sent by 192.0.2.0 and 49 more" in page
    assert total(page) == 2706 + 90


def test_a_record_is_shown_with_its_report(browser: Browser, domain: Domain) -> None:
    reasons = (Reason("local_policy", "<b>arc=pass</b>"),)
    row = record("203.0.113.4", 10, reasons=reasons, header_from="<i>.acme.test")
    report_id = store(domain, Report([row], TODAY - 9 * DAY))
    page = browser.get(f"{PATH}?sourceIp=203.0.113.4")
    assert "local_policy: &lt;b&gt;arc=pass&lt;/b&gt;" in page
    assert "&lt;i&gt;.<wbr>acme.<wbr>test" in page
    link = f"/reports/dmarc/{ids.public('dmr', report_id)}"
    assert f'href="{link}"' in page
    assert "203.0.113.4" in browser.get(link)


def test_of_a_report_over_days_the_share_of_the_time_is_shown(
    browser: Browser, domain: Domain
) -> None:
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    store(domain, Report([record("203.0.113.4", 10)], begin, length=4 * DAY))
    page = browser.get(f"{PATH}?sourceIp=203.0.113.4&from=2026-03-01&to=2026-03-02")
    assert total(page) == 3
    assert "of 10" in page


def test_pages_follow_each_other(browser: Browser, domain: Domain) -> None:
    store(domain, Report([record(f"10.0.0.{n}") for n in range(120)], TODAY - 9 * DAY))
    page, seen = browser.get(f"{PATH}?to={TODAY - 8 * DAY:%Y-%m-%d}"), set[str]()
    for _ in range(3):
        rows = set(re.findall(r"<code>(10\.0\.0\.\d+)</code>", page))
        assert not rows & seen
        seen |= rows
        assert "messages in" not in page
        following = [address for address, words in links(page) if words == "Earlier records"]
        page = browser.get(following[0]) if following else ""
    assert len(seen) == 120
    assert page == ""


def test_a_file_has_what_the_api_has(app: Flask, browser: Browser, domain: Domain) -> None:
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


def test_too_many_rows_for_a_file_are_refused(
    browser: Browser, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.reports.exports.MAX_ROWS", 3)
    assert "narrow the list" in browser.get(f"{PATH}/file?format=csv", 400)


def test_what_is_no_address_is_said_next_to_the_field(browser: Browser, domain: Domain) -> None:
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
def test_what_makes_no_sense_counts_as_not_asked(
    browser: Browser, domain: Domain, query: str
) -> None:
    browser.get(f"{PATH}?{query}")


def test_a_place_in_another_list_is_refused(browser: Browser, domain: Domain) -> None:
    browser.get(f"{PATH}?cursor=AAAA", 400)


def test_records_of_another_account_are_as_if_unknown(
    browser: Browser, stranger: Browser, domain: Domain
) -> None:
    stranger.get(PATH, 404)
    stranger.get(f"{PATH}/file?format=csv", 404)

"""The TLS records behind the figures of TLS sessions: links, filters and downloads."""

import re
from datetime import UTC, datetime
from html import unescape
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from flask import Flask

from app import ids
from app.models import Domain
from tests.support.api_client import make_client
from tests.support.dashboard_browser import Browser
from tests.support.factories import make_domain
from tests.support.stored_reports import DAY, store_tls_report, tls_failure, tls_policy

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
PATH = "/domains/acme.test/tls-records"
ODD = 'odd & "other" '  # as words are cut, one may end in a blank


@pytest.fixture
def domain(browser: Browser) -> Domain:
    """A domain with mostly successful TLS sessions."""
    domain = make_domain(browser.account_id, "acme.test")
    failures = [
        tls_failure("certificate-expired", 20, mx="mx1.acme.test", sending_ip="192.0.2.9"),
        tls_failure(ODD, 7, mx="mx2.acme.test", information="<b>why</b>"),
        tls_failure("sts-policy-invalid", 3),
    ]
    for day in range(1, 4):
        policies = [
            tls_policy("sts", successful=900 + day, failed=30, failures=failures),
            tls_policy("no-policy-figures", successful=50),
        ]
        store_tls_report(domain, policies, at=TODAY - day * DAY + DAY / 2)
    policy = tls_policy("sts", successful=5)
    before = TODAY - 40 * DAY
    store_tls_report(domain, [policy], at=before, reporter="old.test", provenance="unverified")
    return domain


def links(page: str) -> list[tuple[str, str]]:
    """(address, text) of every link to these records on the page."""
    matches = re.findall(rf'<a [^>]*?href="({PATH}[^"]*)"[^>]*>(.*?)</a>', page, re.DOTALL)
    return [(unescape(address), re.sub("<[^>]+>", "", words).strip()) for address, words in matches]


def totals(page: str) -> list[int]:
    """The total of the records as the page shows it."""
    status = page.partition('role="status">')[2].partition(" in ")[0]
    return [int(count.replace(",", "")) for count in re.findall("[0-9,]*[0-9]", status)]


def test_every_figure_links_to_records_with_the_same_total(
    browser: Browser, domain: Domain
) -> None:
    figures = links(browser.get("/domains/acme.test/mail"))
    shown = {words: totals(browser.get(address)) for address, words in figures}
    assert shown["View records"] == [2706 + 150, 90]
    assert shown["2,946 sessions"] == [2706 + 150, 90]
    assert shown["100.0 % previously"] == [5, 0]
    of_failures = [address for address, words in figures if "resultType=" in address]
    assert [totals(browser.get(address)) for address in of_failures] == [[60], [21], [9]]
    of_hosts = [address for address, words in figures if re.search("[?&](mx|hasMx)=", address)]
    assert [totals(browser.get(address)) for address in of_hosts] == [[60], [21], [9]]


def test_chart_links_to_the_records_of_a_day(browser: Browser, domain: Domain) -> None:
    page = browser.get("/domains/acme.test/mail").partition("View as table")[2]
    shown = {words: totals(browser.get(address)) for address, words in links(page)}
    assert shown[f"{TODAY - DAY:%d %b}"] == shown["951"] == [951, 30]


def test_each_filter_has_a_label_and_can_be_removed(browser: Browser, domain: Domain) -> None:
    query = f"policyType=sts&resultType={quote(ODD)}&mx=mx2.acme.test&hasMx=true&reporter=x.test"
    page = browser.get(f"{PATH}?{query}&provenance=token&from=2026-01-01T00:00Z")
    figures = {words: parse_qs(urlsplit(address).query) for address, words in links(page)}
    remove = "×Remove filter "
    without = {unescape(text): query for text, query in figures.items() if remove in text}
    assert set(without) == {
        "×Remove filter “Policy type: sts”",
        f"×Remove filter “Failure: {ODD}”",
        "×Remove filter “Failed at mx2.acme.test”",
        "×Remove filter “Failed at an MX host”",
        "×Remove filter “Reported by x.test”",
        "×Remove filter “Reports: token”",
        "×Remove filter “Since 2026-01-01 00:00 UTC”",
    }
    assert without["×Remove filter “Policy type: sts”"]["resultType"] == [ODD]
    assert "mx" not in without["×Remove filter “Failed at mx2.acme.test”"]
    assert "No records match these filters" in page


def test_record_links_to_its_report(browser: Browser, domain: Domain) -> None:
    failures = [tls_failure(f"kind-{n}", n, information="<i>x</i>") for n in range(9)]
    policies = [tls_policy("tlsa", policy_domain="mx1.acme.test", failures=failures)]
    report_id = store_tls_report(domain, policies, at=TODAY - 9 * DAY)
    page = browser.get(f"{PATH}?policyType=tlsa")
    assert "mx1.<wbr>acme.<wbr>test" in page
    assert "&lt;i&gt;x&lt;/i&gt;" in page
    assert "<code>kind-4</code>" in page
    assert "and 4 more" in page
    link = f"/reports/tls/{ids.public('tlr', report_id)}"
    assert f'href="{link}"' in page
    assert "kind-8" in browser.get(link)


def test_records_are_paginated(browser: Browser, domain: Domain) -> None:
    policies = [tls_policy(policy_domain=f"mx{n}.test") for n in range(120)]
    store_tls_report(domain, policies, at=TODAY - 9 * DAY)
    page, all_rows = (
        browser.get(f"{PATH}?to={TODAY - 8 * DAY:%Y-%m-%d}&from=2026-01-01"),
        set[str](),
    )
    for _ in range(3):
        rows = set(re.findall(r"mx(\d+)\.<wbr>test", page))
        assert not rows & all_rows
        all_rows |= rows
        assert 'role="status"' not in page
        following = [address for address, words in links(page) if words == "Next page"]
        page = browser.get(following[0]) if following else ""
    assert len(all_rows) == 120
    assert page == ""


def test_download_matches_the_api(app: Flask, browser: Browser, domain: Domain) -> None:
    policy = tls_policy(failures=[tls_failure("é", 1)])
    store_tls_report(domain, [policy], at=TODAY - 9 * DAY, organization="=cmd")
    client = make_client(app, browser.account_id)
    filters = "policyType=sts&from=2026-01-01T00:00Z"
    for kind in ("csv", "ndjson"):
        ours = browser.client.get(f"{PATH}/file?{filters}&format={kind}")
        theirs = client(
            "GET", f"/v1/reports/tls-rpt/records?domain=acme.test&{filters}&format={kind}"
        )
        assert ours.data == theirs.data
        assert ours.data.count(b"\n") >= 5
        name = f'attachment; filename="tls-records.{kind}"'
        assert ours.headers["Content-Disposition"] == name
        assert ours.mimetype == theirs.mimetype
    browser.get(f"{PATH}/file?format=xml", 400)


@pytest.mark.parametrize(
    "query",
    [
        *("from=x&to=%00", "from=0001-01-01T00:00%2B14:00", "to=9999-12-31T23:59-12:00"),
        *("resultType=&mx=&reporter=", "mx=%00", "from=2026-02-01&to=2026-01-01"),
        *("hasMx=perhaps", "provenance=odd", f"mx={'m' * 3000}"),
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

"""The policies behind figures of TLS sessions: where figures lead, and what is shown there."""

import re
from datetime import UTC, datetime
from html import unescape
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from flask import Flask

from app import ids
from app.models import Domain
from tests.api.conftest import make_client
from tests.factories import make_domain
from tests.reports import DAY, store_tls_report, tls_failure, tls_policy
from tests.web.conftest import Browser

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
PATH = "/domains/acme.test/tls-records"
ODD = 'odd & "other" '  # as words are cut, one may end in a blank


@pytest.fixture
def domain(browser: Browser) -> Domain:
    """A domain whose mail hosts are reached over TLS, mostly."""
    domain = make_domain(browser.account_id, "acme.test")
    failures = [
        tls_failure("certificate-expired", 20, mx="mx1.acme.test", sending_ip="192.0.2.9"),
        tls_failure(ODD, 7, mx="mx2.acme.test", information="<b>why</b>"),
        tls_failure("sts-policy-invalid", 3),
    ]
    for day in range(1, 4):
        policies = [
            tls_policy("sts", successful=900 + day, failed=30, failures=failures),
            tls_policy("no-policy-found", successful=50),
        ]
        store_tls_report(domain, policies, at=TODAY - day * DAY + DAY / 2)
    policy = tls_policy("sts", successful=5)
    before = TODAY - 40 * DAY
    store_tls_report(domain, [policy], at=before, reporter="old.test", provenance="unverified")
    return domain


def links(page: str) -> list[tuple[str, str]]:
    """(address, words) of every link to these records on the page."""
    found = re.findall(rf'<a [^>]*?href="({PATH}[^"]*)"[^>]*>(.*?)</a>', page, re.DOTALL)
    return [(unescape(address), re.sub("<[^>]+>", "", words).strip()) for address, words in found]


def totals(page: str) -> list[int]:
    """What the records of a page add up to, as it says itself."""
    status = page.partition('role="status">')[2].partition(" in ")[0]
    return [int(count.replace(",", "")) for count in re.findall("[0-9,]*[0-9]", status)]


def test_every_figure_leads_to_records_that_add_up_to_it(browser: Browser, domain: Domain) -> None:
    found = links(browser.get("/domains/acme.test/mail"))
    shown = {words: totals(browser.get(address)) for address, words in found}
    assert shown["The records"] == [2706 + 150, 90]
    assert shown["2,946 sessions"] == [2706 + 150, 90]
    assert shown["100.0 % before"] == [5, 0]
    of_failures = [address for address, words in found if "resultType=" in address]
    assert [totals(browser.get(address)) for address in of_failures] == [[60], [21], [9]]
    of_hosts = [address for address, words in found if re.search("[?&](mx|hasMx)=", address)]
    assert [totals(browser.get(address)) for address in of_hosts] == [[60], [21], [9]]


def test_the_chart_leads_to_the_records_of_a_day(browser: Browser, domain: Domain) -> None:
    page = browser.get("/domains/acme.test/mail").partition("The numbers")[2]
    shown = {words: totals(browser.get(address)) for address, words in links(page)}
    assert shown[f"{TODAY - DAY:%d %b}"] == shown["951"] == [951, 30]


def test_filters_are_said_in_words_and_taken_away_one_by_one(
    browser: Browser, domain: Domain
) -> None:
    query = f"policyType=sts&resultType={quote(ODD)}&mx=mx2.acme.test&hasMx=true&reporter=x.test"
    page = browser.get(f"{PATH}?{query}&provenance=token&from=2026-01-01T00:00Z")
    found = {words: parse_qs(urlsplit(address).query) for address, words in links(page)}
    without = {unescape(words): query for words, query in found.items() if "×Without" in words}
    assert set(without) == {
        "×Without “policy: sts”",
        f"×Without “failed: {ODD}”",
        "×Without “failed at mx2.acme.test”",
        "×Without “failed with an MX host”",
        "×Without “told by x.test”",
        "×Without “reports that are token”",
        "×Without “since 2026-01-01 00:00 UTC”",
    }
    assert without["×Without “policy: sts”"]["resultType"] == [ODD]
    assert "mx" not in without["×Without “failed at mx2.acme.test”"]
    assert "No record fits these filters" in page


def test_a_record_is_shown_with_its_report(browser: Browser, domain: Domain) -> None:
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


def test_pages_follow_each_other(browser: Browser, domain: Domain) -> None:
    policies = [tls_policy(policy_domain=f"mx{n}.test") for n in range(120)]
    store_tls_report(domain, policies, at=TODAY - 9 * DAY)
    page, seen = browser.get(f"{PATH}?to={TODAY - 8 * DAY:%Y-%m-%d}&from=2026-01-01"), set[str]()
    for _ in range(3):
        rows = set(re.findall(r"mx(\d+)\.<wbr>test", page))
        assert not rows & seen
        seen |= rows
        assert 'role="status"' not in page
        following = [address for address, words in links(page) if words == "Earlier records"]
        page = browser.get(following[0]) if following else ""
    assert len(seen) == 120
    assert page == ""


def test_a_file_has_what_the_api_has(app: Flask, browser: Browser, domain: Domain) -> None:
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

"""The pages of domains, alerts and API keys."""

import re

import pytest

from app import ids
from app.services.alerts import alerts
from app.services.alerts.alerts import AlertFilter
from app.services.api_keys import api_keys, callers, usage
from tests.support.api_scans import BAD
from tests.support.dashboard_browser import Browser
from tests.support.dashboard_pages import run_queued_scans
from tests.support.factories import make_domain, make_key
from tests.support.zones import SERVFAIL

TOKEN = re.compile(r"mp_[0-9A-Za-z]{50}")

CSRF = re.compile(r'name="csrf" value="[^"]+"')  # has the path of the page


@pytest.fixture
def scanned(browser: Browser) -> Browser:
    """A user whose domain acme.test has been scanned."""
    browser.post("/domains", name="acme.test", usage="sends-and-receives")
    run_queued_scans(browser)
    return browser


def first_alert(browser: Browser) -> str:
    rows, _ = alerts.listing(browser.account_id, AlertFilter()).page(None, 50)
    return ids.public("alert", rows[0].id)


def test_added_domain_is_scanned_immediately(browser: Browser) -> None:
    response = browser.post("/domains", name=" Acme.TEST. ", usage="sends-and-receives")
    assert response.headers["Location"] == "/domains/acme.test"
    assert "Scan queued" in browser.get("/domains/acme.test")
    run_queued_scans(browser)
    page = browser.get("/domains/acme.test")
    assert "Scan queued" not in page
    assert "Scan now" in page


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "error-name"),
        ("localhost", "error-name"),
        ("a" * 300 + ".test", "error-name"),
        ("acme.test", "acme.test is already in this account"),
    ],
)
def test_invalid_domain_shows_an_error_next_to_the_field(
    browser: Browser, name: str, words: str
) -> None:
    make_domain(browser.account_id, "acme.test")
    response = browser.post("/domains", name=name, usage="sends-only")
    assert response.status_code in (400, 409)
    assert words in response.text
    assert 'aria-invalid="true"' in response.text


def test_invalid_usage_is_refused(browser: Browser) -> None:
    response = browser.post("/domains", name="acme.test", usage="x")
    assert response.status_code == 400
    assert 'id="error-usage"' in response.text


def test_the_list_shows_score_and_alerts(scanned: Browser) -> None:
    page = scanned.get("/domains")
    assert re.search(r'class="grade grade-[A-F]"', page)
    assert re.search(r'class="mark (critical|high|medium|low)" href="[^"]+">\d+ ', page)


def test_domain_list_is_searched_sorted_and_paginated(browser: Browser) -> None:
    for number in range(52):
        make_domain(browser.account_id, f"d{number:02}.test")
    first = browser.get("/domains?sort=name")
    assert ("d00.test" in first, "d51.test" in first) == (True, False)
    link = re.search(r'href="(/domains\?cursor=[^"]+)"', first)
    assert link is not None
    assert "d51.test" in browser.get(link[1].replace("&amp;", "&"))
    assert "d51.test" in browser.get("/domains?q=D51")
    browser.get("/domains?cursor=x", 400)


def test_domain_shows_findings_fixes_and_score_gain(
    scanned: Browser,
) -> None:
    page = scanned.get("/domains/acme.test")
    assert 'class="mark fail"' in page
    assert "spf.multiple_records" in page
    assert re.search(r'class="worth"[^>]*>\+\d+<', page)
    assert '<pre tabindex="0" class="after">' in page


def test_domain_shows_why_a_finding_matters_and_what_to_do(scanned: Browser) -> None:
    finding = scanned.get("/domains/acme.test")
    assert "Receivers use none of the records, so legitimate mail does not pass SPF." in finding
    assert "<code>acme.test</code> has the SPF records <code>v=spf1" in finding
    assert "/docs/alerts#spf.multiple_records" in finding


def test_finding_has_three_parts_and_a_text_for_the_dns_admin(scanned: Browser) -> None:
    page = scanned.get("/domains/acme.test")
    finding = page.partition('<article class="finding">')[2].partition("</article>")[0]
    titles = ("What we found", "Why it matters", "What to do")
    places = [finding.find(f"<h4>{title}</h4>") for title in titles]
    assert -1 not in places
    assert places == sorted(places)
    assert "Technical details" in finding
    assert "Scan again to verify" in finding
    request = page.partition("Copy for your DNS admin")[2].partition("</details>")[0]
    assert re.search(r"Please (publish|replace|remove) the [A-Z]+ record at \S+\.", request)
    assert "Why: " in request
    assert "To undo: " in request


def test_fix_for_a_weak_policy_leads_to_the_verdict_of_the_reports(scanned: Browser) -> None:
    records = {**BAD, "_dmarc.acme.test": ["v=DMARC1; p=none; rua=mailto:d@acme.test"]}
    scanned.post("/domains/acme.test/scan")
    run_queued_scans(scanned, records)
    articles = scanned.get("/domains/acme.test").split('<article class="finding">')
    [finding] = [article for article in articles if "<code>dmarc.policy_none</code>" in article]
    before_the_record = finding.partition('class="fix"')[0]
    assert 'href="/domains/acme.test/policy"' in before_the_record


def test_undetermined_check_shows_the_reason_and_the_last_result(scanned: Browser) -> None:
    scanned.post("/domains/acme.test/scan")
    run_queued_scans(scanned, {**BAD, "acme.test": SERVFAIL})
    page = scanned.get("/domains/acme.test")
    spf = page.partition('id="check-spf"')[2].partition("</summary>")[0]
    assert 'class="mark undetermined"' in spf
    assert 'class="mark fail"' in spf
    assert "Could not check in the last scan" in page


def test_dns_change_is_shown_with_before_and_after(scanned: Browser) -> None:
    scanned.post("/domains/acme.test/scan")
    run_queued_scans(scanned, {**BAD, "_dmarc.acme.test": ["v=DMARC1; p=none"]})
    changes = scanned.get("/domains/acme.test/history")
    assert "p=reject" in changes
    assert "p=none" in changes


def test_dns_values_are_escaped(browser: Browser) -> None:
    make_domain(browser.account_id, "acme.test")
    browser.post("/domains/acme.test/scan")
    run_queued_scans(browser, {**BAD, "acme.test": ["v=spf1 <script>alert(1)</script> -all"]})
    page = browser.get("/domains/acme.test")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_an_alert_is_acknowledged_dismissed_with_a_note_and_reopened(scanned: Browser) -> None:
    alert = first_alert(scanned)
    path = f"/alerts/{alert}"
    assert path in scanned.get("/alerts")
    response = scanned.post(path, status="acknowledged", back="/alerts?status=open")
    assert response.headers["Location"] == "/alerts?status=open"
    assert path not in scanned.get("/alerts")
    assert path in scanned.get("/alerts?status=acknowledged")
    scanned.post(path, status="dismissed", note="we know")
    assert path in scanned.get("/alerts?status=dismissed")
    scanned.post(path, status="open")
    assert path in scanned.get("/alerts")
    alert_id = ids.parse("alert", alert)
    assert alert_id is not None
    history = alerts.history(scanned.account_id, alert_id)
    assert [row.note for row in history] == [None, None, "we know", None]
    assert history[-1].actor == "user:ann@acme.test"


@pytest.mark.parametrize(
    "form", [{"status": "resolved"}, {}, {"status": "open", "note": "x" * 1001}]
)
def test_invalid_alert_status_is_refused(scanned: Browser, form: dict[str, str]) -> None:
    assert scanned.post(f"/alerts/{first_alert(scanned)}", **form).status_code == 400


def test_pages_of_another_account_are_not_found(scanned: Browser, stranger: Browser) -> None:
    key, _ = make_key(scanned.account_id)
    for path in ("/domains/acme.test", f"/settings/keys/{key.key_id}"):
        refused, missing = (stranger.get(name, 404) for name in (path, path[:-1]))
        assert CSRF.sub("", refused) == CSRF.sub("", missing)
    for path in (
        "/domains/acme.test/scan",
        f"/alerts/{first_alert(scanned)}",
        f"/settings/keys/{key.key_id}/revoke",
    ):
        assert stranger.post(path, status="dismissed").status_code == 404, path
    for path in ("/domains", "/alerts", "/settings/keys"):
        page = stranger.get(path)
        assert "acme.test</a>" not in page
        assert key.key_id not in page
    assert api_keys.search(scanned.account_id)[0].revoked_at is None


def test_a_new_key_is_shown_once_and_works(browser: Browser) -> None:
    form = {"name": "ci", "scopes": ["domains:read", "alerts:read"], "days": "30"}
    location = browser.post("/settings/keys", **form).headers["Location"]
    response = browser.client.get(location)
    assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-store")
    match = TOKEN.search(response.text)
    assert match is not None
    caller = callers.resolve(match[0], "127.0.0.1")
    assert caller is not None
    assert caller.scopes == {"domains:read", "alerts:read"}
    for path in ("/settings/keys", f"/settings/keys/{caller.key_id}"):
        page = browser.get(path)
        assert caller.key_id in page
        assert TOKEN.search(page) is None
        assert "in 29 days" in page


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"name": "", "scopes": "domains:read"}, "name"),
        ({"name": "ci"}, "scopes"),
        ({"name": "ci", "scopes": "admin"}, "scopes"),
        ({"name": "ci", "scopes": "domains:read", "days": "0"}, "days"),
        ({"name": "ci", "scopes": "domains:read", "days": "１"}, "days"),
    ],
)
def test_invalid_key_shows_an_error_next_to_the_field(
    browser: Browser, form: dict[str, str], field: str
) -> None:
    response = browser.post("/settings/keys", **form)
    assert response.status_code == 400
    assert f'id="error-{field}"' in response.text
    assert api_keys.search(browser.account_id) == []


def test_a_revoked_key_is_refused_and_shown_as_revoked(browser: Browser) -> None:
    key, token = make_key(browser.account_id)
    assert browser.post(f"/settings/keys/{key.key_id}/revoke", confirm=key.name).status_code == 303
    assert callers.resolve(token, "127.0.0.1") is None
    assert 'class="mark revoked"' in browser.get("/settings/keys")


def test_key_shows_its_usage_of_today(browser: Browser) -> None:
    key, _ = make_key(browser.account_id)
    for _ in range(3):
        usage.record(key.id, "GET /v1/domains", 200, "192.0.2.1")
    usage.flush()
    page = browser.get(f"/settings/keys/{key.key_id}")
    assert "GET /v1/domains" in page
    assert 'data-name="Requests">3</td>' in page

"""The dashboard in a real browser: what people come for, from the first page to the last click."""

import gzip
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, FilePayload, expect

from app.protocols import totp
from app.services.alerts import alerts
from app.services.alerts.alerts import AlertFilter
from app.services.domains import domains
from app.services.domains.domains import NewDomain
from app.services.scans import scans
from tests import reports
from tests.documents import dmarc_xml, record, tls_json
from tests.e2e.browser import PASSWORD, Person, open_browser, open_person
from tests.e2e.service import Service, wait_for
from tests.factories import ACTOR

pytestmark = [
    pytest.mark.e2e,
    # What a browser sees does not depend on the database; the web tests run on both.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


HOSTILE_ORG = "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt;"
FAILED = record("d4.test", ip="203.0.113.9", count=5, dkim="fail", spf="fail")


def scanned(person: Person, name: str = "d0.test") -> str:
    """A domain of theirs that has been scanned."""
    domains.create(person.account_id, NewDomain(name), actor=ACTOR)
    scan = scans.trigger(person.account_id, name, actor=ACTOR).scan
    # The bell of this process rings at no queue of the service: its clock rings again.
    wait_for(lambda: scans.find(person.account_id, scan.id).status == "completed", "the scan")
    return name


def test_from_signing_in_to_the_first_call(ann: Person) -> None:
    page = ann.page
    page.get_by_role("link", name="Make a key").click()
    page.get_by_label("Name", exact=True).fill("my program")
    page.get_by_label("domains:read").check()
    page.get_by_role("button", name="Make the key").click()
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    key = ann.copied()
    assert re.fullmatch(r"mp_[0-9A-Za-z]{50}", key)
    answer = ann.service.call("GET", "/v1/me", key)
    assert (answer.status, answer.json["data"]["name"]) == (200, "my program")
    page.get_by_role("button", name="Copy", exact=True).last.click()
    wait_for(lambda: ann.copied() != key, "the other copy", 10)
    command = shlex.split(ann.copied())
    assert command[0] == "curl"
    if shutil.which("curl"):
        done = subprocess.run([*command, "-sf"], capture_output=True, text=True, timeout=30)
        assert '"my program"' in done.stdout
    ann.assert_whole()


def test_a_scan_is_seen_going_on_and_then_its_result(ann: Person) -> None:
    page = ann.go("/domains")
    page.get_by_label("Domain", exact=True).fill("d1.test")
    page.get_by_role("button", name="Add and scan").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.locator("#check-spf")).to_contain_text("fail", timeout=60_000)
    expect(page.get_by_role("progressbar")).to_have_count(0)
    page.get_by_role("button", name="Scan now").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_role("button", name="Scan now")).to_be_visible(timeout=60_000)
    ann.assert_whole()


def test_without_a_script_a_scan_is_followed_by_a_link(chromium: Browser, service: Service) -> None:
    bob = open_person(chromium, service, java_script_enabled=False)
    page = bob.sign_in()
    bob.go("/domains")
    page.get_by_label("Domain", exact=True).fill("d2.test")
    page.get_by_role("button", name="Add and scan").click()

    def is_done() -> bool:
        if page.get_by_role("link", name="Look again").count():
            page.get_by_role("link", name="Look again").click()
        return page.locator("#check-spf").count() == 1

    wait_for(is_done, "the scan")
    expect(page.get_by_role("button", name="Copy")).to_have_count(0)
    assert bob.troubles == []
    bob.context.close()


def test_an_alert_is_acknowledged_and_its_history_says_who(ann: Person) -> None:
    scanned(ann)
    page = ann.go("/alerts")
    page.get_by_role("link", name=re.compile("Several SPF records")).click()
    page.get_by_role("button", name="Acknowledge").click()
    history = page.get_by_role("region", name="History")
    expect(history).to_contain_text("acknowledged")
    expect(history).to_contain_text("ann@acme.test")
    ann.assert_whole()


def test_the_risk_of_a_finding_is_accepted_and_taken_back(ann: Person) -> None:
    scanned(ann)
    page = ann.go("/domains/d0.test")
    page.get_by_role("link", name=re.compile("Accept the risk….*Several SPF")).click()
    page.get_by_label("Until").fill("2199-12-31")
    page.get_by_label("Why", exact=True).fill("we retire it")
    expect(page.get_by_label("Who answers for it")).to_have_value("ann@acme.test")
    ann.assert_whole()
    page.get_by_role("button", name="Accept the risk").click()
    expect(page.get_by_text("The risk is accepted until 2199-12-31")).to_be_visible()
    ann.assert_whole()
    page = ann.go("/alerts")
    page.get_by_role("link", name="Accepted risks").click()
    row = page.get_by_role("row", name="Several SPF records")
    expect(row).to_contain_text("we retire it")
    ann.assert_whole()
    row.get_by_role("button", name="Take back").click()
    expect(page.get_by_role("heading", name="No risk is accepted")).to_be_visible()
    ann.assert_whole()


def test_several_alerts_are_snoozed_at_once(ann: Person) -> None:
    scanned(ann)
    page = ann.go("/alerts")
    count = page.get_by_role("article").count()
    assert count > 1
    page.get_by_label("None selected").check()
    expect(page.get_by_text(f"{count} selected")).to_be_visible()
    page.get_by_label("Snooze for", exact=True).select_option("a week")
    page.get_by_role("button", name="Snooze for").click()
    expect(page.get_by_role("heading", name="No alert is open")).to_be_visible()
    rows, _ = alerts.search(ann.account_id, AlertFilter(status="snoozed"))
    assert len(rows) == count
    ann.assert_whole()


def test_the_next_call_of_a_revoked_key_is_refused(ann: Person) -> None:
    page = ann.go("/settings/keys")
    page.get_by_label("Name", exact=True).fill("old program")
    page.get_by_label("alerts:read").check()
    page.get_by_role("button", name="Make the key").click()
    key = page.locator("pre.secret").inner_text()
    assert ann.service.call("GET", "/v1/alerts", key).status == 200
    page.get_by_role("link", name="I have it").click()
    page.get_by_role("link", name="old program", exact=True).click()
    page.get_by_text("Revoke…").click()
    page.get_by_role("button", name=re.compile("Revoke")).click()
    expect(page.get_by_role("row", name="old program")).to_contain_text("revoked")
    time.sleep(1)  # what other processes may still remember
    assert ann.service.call("GET", "/v1/alerts", key).status == 401
    ann.assert_whole()


def test_an_uploaded_report_is_read_and_seen_in_the_chart(ann: Person) -> None:
    domains.create(ann.account_id, NewDomain("d4.test"), actor=ACTOR)
    page = ann.go("/reports/files")
    raw = dmarc_xml("d4.test", records=[record("d4.test", count=7), FAILED], org=HOSTILE_ORG)
    files: list[FilePayload] = [
        {"name": "a.xml.gz", "mimeType": "application/gzip", "buffer": gzip.compress(raw)},
        {"name": "b.txt", "mimeType": "text/plain", "buffer": b"nothing of the kind"},
    ]
    page.get_by_label("Files").set_input_files(files)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("2 files kept")).to_be_visible()
    expect(page.get_by_role("row", name="a.xml.gz")).to_contain_text("parsed", timeout=60_000)
    expect(page.get_by_role("row", name="b.txt")).to_contain_text("quarantined", timeout=60_000)
    ann.assert_whole()
    ann.go("/domains/d4.test/mail")
    expect(page.locator("svg.chart rect.s-pass")).to_have_count(1)
    expect(page.locator("svg.chart rect.s-fail")).to_have_count(1)
    page.get_by_text("The numbers").click()
    numbers = page.get_by_role("region", name="Messages by DMARC result").get_by_role("table")
    expect(numbers).to_contain_text("75")
    ann.assert_whole()
    page.get_by_role("row", name="203.0.113.9").get_by_role("link", name="5", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("5 messages in 1 record.")
    ann.assert_whole()
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download as CSV").click()
    assert "203.0.113.9,5,fail" in saved.value.path().read_text()
    page.get_by_role("link", name=re.compile("Without “sent by 203.0.113.9”")).click()
    expect(page.get_by_role("status")).to_have_text("12 messages in 2 records.")
    page.get_by_role("row", name="203.0.113.9").get_by_role("link").click()
    expect(page.get_by_role("heading", name="<script>")).to_be_visible()
    ann.assert_whole()


def test_what_failed_over_tls_leads_to_its_records(ann: Person) -> None:
    domains.create(ann.account_id, NewDomain("d5.test"), actor=ACTOR)
    page = ann.go("/reports/files")
    raw = tls_json("d5.test")
    file: FilePayload = {"name": "tls.json", "mimeType": "application/json", "buffer": raw}
    page.get_by_label("Files").set_input_files([file])
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("row", name="tls.json")).to_contain_text("parsed", timeout=60_000)
    ann.go("/domains/d5.test/mail")
    expect(page.get_by_role("listitem").filter(has_text="mx.acme.test")).to_be_visible()
    ann.assert_whole()
    failed = page.get_by_role("listitem").filter(has_text="certificate-expired")
    failed.get_by_role("link", name="2 sessions").click()
    expect(page.get_by_role("status")).to_have_text("2 failed sessions in 1 record.")
    ann.assert_whole()
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download as CSV").click()
    assert "sts,d5.test,40,2,2,1," in saved.value.path().read_text()
    page.get_by_role("link", name=re.compile("Without “failed: certificate-expired”")).click()
    status = "40 sessions that worked, 2 that failed in 1 record."
    expect(page.get_by_role("status")).to_have_text(status)
    page.get_by_text("Other filters").click()
    page.get_by_label("MX host").fill("mx2.acme.test")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    page.get_by_role("link", name=re.compile("Without “failed at mx2.acme.test”")).click()
    page.get_by_role("row", name="sts").get_by_role("link").click()
    expect(page.get_by_role("heading", name="Receiver")).to_be_visible()
    ann.assert_whole()


def test_what_a_step_would_meet_is_followed_to_its_records(ann: Person) -> None:
    domain = domains.create(ann.account_id, NewDomain("d6.test"), actor=ACTOR)
    forged = {"dkim": False, "spf": False, "dkim_results": (), "spf_results": ()}
    at_home = reports.record("203.0.113.9", 5, header_from="d6.test", **forged)
    below = reports.record("203.0.113.9", 3, header_from="n.d6.test", **forged)
    begin = datetime.now(UTC) - timedelta(days=2)
    reports.store(domain, reports.Report([at_home, below], begin=begin))
    for width in (1280, 390):
        ann.page.set_viewport_size({"width": width, "height": 900})
        page = ann.go("/domains/d6.test/policy?p=reject")
        step = page.get_by_role("article").filter(has_text="sp: none")
        step.locator("summary").get_by_text("3 forged messages").click()
        ann.assert_whole()
        step.get_by_role("row", name="203.0.113.9").get_by_role("link", name="3").click()
        expect(page.get_by_role("status")).to_have_text("3 messages in 1 record.")
        ann.assert_whole()
    page.get_by_role("link", name=re.compile("Without “author below the domain”")).click()
    expect(page.get_by_role("status")).to_have_text("8 messages in 2 records.")
    page = ann.go("/domains/d6.test/policy?p=reject")
    page.locator("#result").get_by_role("link", name="8", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("8 messages in 2 records.")


def test_a_second_factor_is_turned_on_and_asked_for(ann: Person) -> None:
    page = ann.go("/settings/security")
    page.get_by_role("link", name="Turn on").click()
    page.get_by_text("Or enter the secret by hand").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    code = _codes(ann.copied())
    page.get_by_role("textbox", name="Code").fill(code(-1))
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    ann.sign_in()
    page.get_by_role("textbox", name="Code").fill(code(0))
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    ann.assert_whole()


def test_somebody_joins_by_a_link(ann: Person, chromium: Browser) -> None:
    page = ann.go("/settings/team")
    page.get_by_label("Email").fill("bob@acme.test")
    page.get_by_label("viewer").check()
    page.get_by_role("button", name="Send invitation").click()
    path = "/auth/" + page.locator("pre.secret").inner_text().partition("/auth/")[2]
    bob = open_browser(chromium, ann.service, ann.account_id, "bob@acme.test")
    bob.go(path)
    bob.page.get_by_label("Password").fill("an entirely other horse")
    bob.page.get_by_role("button", name="Join").click()
    bob.sign_in("an entirely other horse")
    bob.go("/domains")
    expect(bob.page.get_by_text("Add a domain")).to_have_count(0)
    bob.assert_whole()
    bob.context.close()
    ann.assert_whole()


def test_a_session_that_was_ended_elsewhere_is_over_here(ann: Person, chromium: Browser) -> None:
    phone = open_browser(chromium, ann.service, ann.account_id, ann.email)
    phone.sign_in()
    page = ann.go("/settings/security")
    page.get_by_text("Sign out everywhere…").click()
    page.get_by_role("button", name="Sign out everywhere").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    phone.go("/domains")
    expect(phone.page.get_by_role("heading", name="Sign in")).to_be_visible()
    phone.context.close()


def test_everything_can_be_reached_with_the_keyboard(ann: Person) -> None:
    page = ann.go("/domains")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Add many")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.type("d3.test")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="d3.test")).to_be_visible()


def _codes(text: str) -> Callable[[int], str]:
    """The codes of an app that was given this secret, by steps from now."""
    import base64

    secret = base64.b32decode(text)

    def code(shift: int) -> str:
        return totp.code(secret, int(time.time()) // totp.STEP_SECONDS + shift)

    return code

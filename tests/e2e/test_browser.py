"""The main tasks of the dashboard, from start to end in a real browser."""

import gzip
import re
import shlex
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, FilePayload, expect
from pyotp import TOTP

from app.services.alerts import alerts
from app.services.alerts.alerts import AlertFilter
from app.services.domains import domains
from app.services.domains.domains import NewDomain
from app.services.scans import scans
from tests.e2e.browser import PASSWORD, Person, open_browser, open_person
from tests.e2e.service import Service, wait_for
from tests.support import stored_reports as reports
from tests.support.factories import ACTOR
from tests.support.report_documents import dmarc_xml, record, tls_json

pytestmark = [
    pytest.mark.e2e,
    # The pages do not depend on the database; the web tests run on both.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


HOSTILE_ORG = "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt;"
FAILED = record("d4.test", ip="203.0.113.9", count=5, dkim="fail", spf="fail")


def scanned(person: Person, name: str = "d0.test") -> str:
    """Add a domain and wait for its scan."""
    domains.create(person.account_id, NewDomain(name), actor=ACTOR)
    scan = scans.trigger(person.account_id, name, actor=ACTOR).scan
    # This process does not share the service's queue: its clock enqueues the scan again.
    wait_for(lambda: scans.find(person.account_id, scan.id).status == "completed", "the scan")
    return name


def test_first_api_key_makes_a_request(ann: Person) -> None:
    page = ann.page
    page.get_by_role("link", name="Create API Key").click()
    page.get_by_label("Name", exact=True).fill("my program")
    page.get_by_label("domains:read").check()
    page.get_by_role("button", name="Create API Key").click()
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
    assert command[-1].endswith("/v1/me")
    command[-1] = ann.url("/v1/me")  # BASE_URL has no port of this service
    if shutil.which("curl"):
        done = subprocess.run([*command, "-sf"], capture_output=True, text=True, timeout=30)
        assert '"my program"' in done.stdout
    ann.assert_no_problems()


def test_scan_progress_is_shown_and_then_its_result(ann: Person) -> None:
    page = ann.go("/domains")
    page.get_by_label("Domain", exact=True).fill("d1.test")
    page.get_by_role("button", name="Add and scan").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.locator("#check-spf")).to_contain_text("Fail", timeout=60_000)
    expect(page.get_by_role("progressbar")).to_have_count(0)
    page.get_by_role("button", name="Scan now").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_role("button", name="Scan now")).to_be_visible(timeout=60_000)
    ann.assert_no_problems()


def test_link_to_a_check_opens_it(ann: Person) -> None:
    page = ann.go(f"/domains/{scanned(ann)}#check-mx")
    checks = page.locator("details.check")
    expect(page.locator("#check-mx")).to_have_attribute("open", "")
    page.get_by_role("button", name="Expand all").click()
    expect(page.locator("details.check[open]")).to_have_count(checks.count())
    page.get_by_role("button", name="Collapse all").click()
    expect(page.locator("details.check[open]")).to_have_count(0)
    page.evaluate("location.hash = '#check-spf'")
    expect(page.locator("#check-spf")).to_have_attribute("open", "")


def test_scan_result_appears_without_scripts_after_refresh(
    chromium: Browser, service: Service
) -> None:
    bob = open_person(chromium, service, java_script_enabled=False)
    page = bob.sign_in()
    bob.go("/domains")
    page.get_by_label("Domain", exact=True).fill("d2.test")
    page.get_by_role("button", name="Add and scan").click()

    def is_done() -> bool:
        if page.get_by_role("link", name="Refresh").count():
            page.get_by_role("link", name="Refresh").click()
        return page.locator("#check-spf").count() == 1

    wait_for(is_done, "the scan")
    expect(page.get_by_role("button", name="Copy")).to_have_count(0)
    assert bob.problems == []
    bob.context.close()


def test_alert_history_shows_who_acknowledged_it(ann: Person) -> None:
    scanned(ann)
    page = ann.go("/alerts")
    page.get_by_role("link", name=re.compile("SPF: more than one record")).click()
    page.get_by_role("button", name="Acknowledge").click()
    history = page.get_by_role("region", name="History")
    expect(history).to_contain_text("acknowledged this alert")
    expect(history).to_contain_text("ann@acme.test")
    ann.assert_no_problems()


def test_risk_is_accepted_and_the_acceptance_revoked(ann: Person) -> None:
    scanned(ann)
    page = ann.go("/domains/d0.test")
    page.get_by_role("link", name=re.compile("Accept risk….*SPF: more than one record")).click()
    page.get_by_label("Accept until").fill("2199-12-31")
    page.get_by_label("Reason", exact=True).fill("we retire it")
    expect(page.get_by_label("Risk owner")).to_have_value("ann@acme.test")
    ann.assert_no_problems()
    page.get_by_role("button", name="Accept risk").click()
    expect(page.get_by_text("The risk is accepted until 2199-12-31")).to_be_visible()
    ann.assert_no_problems()
    page = ann.go("/alerts")
    page.get_by_role("link", name="Accepted risks").click()
    row = page.get_by_role("row", name="SPF: more than one record")
    expect(row).to_contain_text("we retire it")
    ann.assert_no_problems()
    row.get_by_role("button", name="Revoke acceptance").click()
    expect(page.get_by_role("heading", name="No accepted risks")).to_be_visible()
    ann.assert_no_problems()


def test_several_alerts_are_snoozed_together(ann: Person) -> None:
    scanned(ann)
    page = ann.go("/alerts")
    count = page.get_by_role("article").count()
    assert count > 1
    page.get_by_label("Select alerts to change them").check()
    expect(page.get_by_text(f"{count} selected")).to_be_visible()
    page.get_by_label("Snooze for", exact=True).select_option("7 days")
    page.get_by_role("button", name="Snooze for").click()
    expect(page.get_by_role("heading", name="No open alerts")).to_be_visible()
    rows, _ = alerts.listing(ann.account_id, AlertFilter(status="snoozed")).page(None, 50)
    assert len(rows) == count
    ann.assert_no_problems()


def test_revoked_key_is_refused_on_the_next_request(ann: Person) -> None:
    page = ann.go("/settings/keys")
    page.get_by_label("Name", exact=True).fill("old program")
    page.get_by_label("alerts:read").check()
    page.get_by_role("button", name="Create API Key").click()
    key = page.locator("pre.secret").inner_text()
    assert ann.service.call("GET", "/v1/alerts", key).status == 200
    page.get_by_role("link", name="Done").click()
    page.get_by_role("link", name="old program", exact=True).click()
    page.get_by_text("Revoke…").click()
    page.get_by_label("to confirm").fill("old program")
    page.get_by_role("button", name=re.compile("Revoke")).click()
    expect(page.get_by_role("row", name="old program")).to_contain_text("Revoked")
    time.sleep(1)  # the caches of other processes
    assert ann.service.call("GET", "/v1/alerts", key).status == 401
    ann.assert_no_problems()


def test_uploaded_report_appears_in_the_chart(ann: Person) -> None:
    domains.create(ann.account_id, NewDomain("d4.test"), actor=ACTOR)
    page = ann.go("/reports/files")
    raw = dmarc_xml("d4.test", records=[record("d4.test", count=7), FAILED], org=HOSTILE_ORG)
    files: list[FilePayload] = [
        {"name": "a.xml.gz", "mimeType": "application/gzip", "buffer": gzip.compress(raw)},
        {"name": "b.txt", "mimeType": "text/plain", "buffer": b"nothing of the kind"},
    ]
    page.get_by_label("Files").set_input_files(files)
    page.get_by_role("button", name="Upload files").click()
    expect(page.get_by_text("2 files uploaded")).to_be_visible()
    expect(page.get_by_role("row", name="a.xml.gz")).to_contain_text("Parsed", timeout=60_000)
    expect(page.get_by_role("row", name="b.txt")).to_contain_text("Rejected", timeout=60_000)
    ann.assert_no_problems()
    ann.go("/domains/d4.test/mail")
    expect(page.locator("svg.chart rect.s-pass")).to_have_count(1)
    expect(page.locator("svg.chart rect.s-fail")).to_have_count(1)
    page.get_by_text("View as table").click()
    numbers = page.get_by_role("region", name="Messages by DMARC result").get_by_role("table")
    expect(numbers).to_contain_text("75")
    ann.assert_no_problems()
    page.get_by_role("row", name="203.0.113.9").get_by_role("link", name="5", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("5 messages in 1 record.")
    ann.assert_no_problems()
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download as CSV").click()
    assert '"203.0.113.9","5","fail"' in saved.value.path().read_text()
    page.get_by_role("link", name=re.compile("Remove filter “Source: 203.0.113.9”")).click()
    expect(page.get_by_role("status")).to_have_text("12 messages in 2 records.")
    page.get_by_role("row", name="203.0.113.9").get_by_role("link").click()
    expect(page.get_by_role("heading", name="<script>")).to_be_visible()
    ann.assert_no_problems()


def test_tls_failures_link_to_their_records(ann: Person) -> None:
    domains.create(ann.account_id, NewDomain("d5.test"), actor=ACTOR)
    page = ann.go("/reports/files")
    raw = tls_json("d5.test")
    file: FilePayload = {"name": "tls.json", "mimeType": "application/json", "buffer": raw}
    page.get_by_label("Files").set_input_files([file])
    page.get_by_role("button", name="Upload files").click()
    expect(page.get_by_role("row", name="tls.json")).to_contain_text("Parsed", timeout=60_000)
    ann.go("/domains/d5.test/mail")
    expect(page.get_by_role("listitem").filter(has_text="mx.acme.test")).to_be_visible()
    ann.assert_no_problems()
    failed = page.get_by_role("listitem").filter(has_text="certificate-expired")
    failed.get_by_role("link", name="2 sessions").click()
    expect(page.get_by_role("status")).to_have_text("2 failed sessions in 1 record.")
    ann.assert_no_problems()
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download as CSV").click()
    assert '"sts","d5.test","40","2","2","1",' in saved.value.path().read_text()
    page.get_by_role(
        "link", name=re.compile("Remove filter “Failure: certificate-expired”")
    ).click()
    status = "40 successful sessions, 2 failed in 1 record."
    expect(page.get_by_role("status")).to_have_text(status)
    page.get_by_text("More filters").click()
    page.get_by_label("MX host").fill("mx2.acme.test")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="No matching records")).to_be_visible()
    page.get_by_role("link", name=re.compile("Remove filter “Failed at mx2.acme.test”")).click()
    page.get_by_role("row", name="sts").get_by_role("link").click()
    expect(page.get_by_role("heading", name="Receiver")).to_be_visible()
    ann.assert_no_problems()


def test_policy_step_links_to_the_affected_records(ann: Person) -> None:
    domain = domains.create(ann.account_id, NewDomain("d6.test"), actor=ACTOR)
    forged = {"dkim": False, "spf": False, "dkim_results": (), "spf_results": ()}
    from_server = reports.record("203.0.113.9", 5, header_from="d6.test", **forged)
    below = reports.record("203.0.113.9", 3, header_from="n.d6.test", **forged)
    begin = datetime.now(UTC) - timedelta(days=2)
    reports.store(domain, reports.Report([from_server, below], begin=begin))
    for width in (1280, 390):
        ann.page.set_viewport_size({"width": width, "height": 900})
        page = ann.go("/domains/d6.test/policy?p=reject")
        step = page.get_by_role("article").filter(has_text="sp: none")
        step.get_by_text("View the affected email").click()
        step.get_by_text("View senders").click()
        ann.assert_no_problems()
        step.get_by_role("link", name="3 messages").click()
        expect(page.get_by_role("status")).to_have_text("3 messages in 1 record.")
        ann.assert_no_problems()
    page.get_by_role(
        "link", name=re.compile("Remove filter “Header From: subdomains only”")
    ).click()
    expect(page.get_by_role("status")).to_have_text("8 messages in 2 records.")
    page = ann.go("/domains/d6.test/policy?p=reject")
    page.locator("#result").get_by_role("link", name="8", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("8 messages in 2 records.")


def test_second_factor_is_enabled_and_required(ann: Person) -> None:
    page = ann.go("/settings/security")
    page.get_by_role("link", name="Enable two-factor").click()
    page.get_by_text("Or enter the secret manually").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    app, now = TOTP(ann.copied()), time.time()  # its codes are valid for at least 30 seconds
    page.get_by_role("textbox", name="Code").fill(app.at(now))
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_role("button", name="Enable two-factor").click()
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    ann.sign_in()
    page.get_by_role("textbox", name="Code").fill(app.at(now, counter_offset=1))
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    ann.assert_no_problems()


def test_invited_user_joins_by_link(ann: Person, chromium: Browser) -> None:
    page = ann.go("/settings/team")
    page.get_by_label("Email").fill("bob@acme.test")
    page.get_by_label("Viewer").check()
    page.get_by_role("button", name="Send invitation").click()
    path = "/auth/" + page.locator("pre.secret").inner_text().partition("/auth/")[2]
    bob = open_browser(chromium, ann.service, ann.account_id, "bob@acme.test")
    bob.go(path)
    bob.page.get_by_label("Password").fill("an entirely other horse")
    bob.page.get_by_role("button", name="Join account").click()
    bob.sign_in("an entirely other horse")
    bob.go("/domains")
    expect(bob.page.get_by_role("heading", name="Add domain")).to_have_count(0)
    bob.assert_no_problems()
    bob.context.close()
    ann.assert_no_problems()


def test_session_ended_on_another_device_is_signed_out(ann: Person, chromium: Browser) -> None:
    phone = open_browser(chromium, ann.service, ann.account_id, ann.email)
    phone.sign_in()
    page = ann.go("/settings/security")
    page.get_by_text("Sign out everywhere…").click()
    page.get_by_role("button", name="Sign out everywhere").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    phone.go("/domains")
    expect(phone.page.get_by_role("heading", name="Sign in")).to_be_visible()
    phone.context.close()


def test_dashboard_is_usable_with_the_keyboard(ann: Person) -> None:
    page = ann.go("/domains")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Add multiple")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.type("d3.test")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="d3.test")).to_be_visible()

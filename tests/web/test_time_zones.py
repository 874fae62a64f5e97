"""Pages show times in the zone of the reader: of the setting, else of the browser, else UTC."""

import re
from datetime import UTC, datetime

import pytest
from flask import Flask

from app.db.transactions import transaction
from app.models import AuditEvent
from tests.support.dashboard_browser import Browser
from tests.support.people import colleague

AT = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)
KOLKATA = "2026-07-02 04:00 IST"


@pytest.fixture
def audited(browser: Browser) -> Browser:
    """A browser whose account has an entry of the audit log at that time."""
    with transaction() as session:
        session.add(
            AuditEvent(
                account_id=browser.account_id,
                at=AT,
                actor="system",
                action="domain.added",
                target="example.org",
            )
        )
    return browser


def times(page: str) -> set[tuple[str, str]]:
    """The times of the page, each with its tooltip."""
    return {(text, title) for title, text in re.findall(r'<time [^>]*title="(.*?)">(.*?)<', page)}


def test_without_a_zone_times_are_in_utc(audited: Browser) -> None:
    page = audited.get("/settings/audit")
    assert ("2026-07-01 22:30 UTC", "2026-07-01 22:30 UTC") in times(page)
    assert "Times are in UTC." in page
    assert "From (date, UTC)" in page


def test_times_are_in_the_zone_of_the_browser(audited: Browser) -> None:
    audited.client.set_cookie("time-zone", "Asia/Kolkata")
    page = audited.get("/settings/audit")
    assert (KOLKATA, "2026-07-01 22:30 UTC") in times(page)
    assert "From (date, Asia/Kolkata)" in page


@pytest.mark.parametrize("cookie", ["Mars/Olympus", "../../etc/passwd", "%00", "x" * 3000, ""])
def test_a_zone_that_does_not_exist_is_utc(audited: Browser, cookie: str) -> None:
    audited.client.set_cookie("time-zone", cookie)
    assert "2026-07-01 22:30 UTC" in audited.get("/settings/audit")


def test_the_setting_of_the_user_comes_before_the_browser(audited: Browser) -> None:
    audited.client.set_cookie("time-zone", "Europe/Berlin")
    page = audited.submit("/settings/account/time-zone", time_zone="Asia/Kolkata")
    assert "Times are shown in Asia/Kolkata." in page
    assert 'value="Asia/Kolkata"' in page
    assert KOLKATA in audited.get("/settings/audit")
    page = audited.submit("/settings/account/time-zone", time_zone="")
    assert "the zone of your browser" in page
    assert "2026-07-02 00:30 CEST" in audited.get("/settings/audit")


def test_a_change_of_the_zone_can_be_undone(app: Flask, browser: Browser) -> None:
    viewer = colleague(app, browser, "viewer")
    page = viewer.submit("/settings/account/time-zone", time_zone="Asia/Kolkata")
    undo = re.search(r'action="(/undo/\w+)"', page)
    assert undo is not None
    assert "previous time zone" in viewer.submit(undo[1])
    assert "Times are in UTC." in viewer.get("/settings/account")


def test_an_unknown_zone_is_an_error_at_its_field(browser: Browser) -> None:
    page = browser.post("/settings/account/time-zone", time_zone="Mars/Olympus")
    assert page.status_code == 400
    assert "unknown time zone" in page.text
    assert 'value="Mars/Olympus"' in page.text
    assert browser.post("/settings/account/time-zone", time_zone="x" * 65).status_code == 400


def test_date_filters_of_the_audit_log_are_days_of_the_reader(audited: Browser) -> None:
    first = "/settings/audit?from=2026-07-01&to=2026-07-01"
    second = "/settings/audit?from=2026-07-02&to=2026-07-02"
    assert "domain.added" in audited.get(first)
    assert "domain.added" not in audited.get(second)
    audited.client.set_cookie("time-zone", "Asia/Kolkata")
    assert "domain.added" not in audited.get(first)
    assert "domain.added" in audited.get(second)


@pytest.mark.parametrize(
    "path", ["/reports", "/reports/tls", "/reports/failure", "/settings/audit"]
)
def test_lists_with_a_period_have_presets_that_keep_the_other_filters(
    browser: Browser, path: str
) -> None:
    page = browser.get(f"{path}?target=acme&reporter=google.com&to=2026-01-01&cursor=")
    urls = re.findall(r'<a href="([^"]*from=[^"]*)">Last (7|30|90) days</a>', page)
    assert [days for _, days in urls] == ["7", "30", "90"]
    for url, _ in urls:
        assert "target=acme" in url
        assert "to=" not in url
        assert 'aria-current="true">Last' in browser.get(url.replace("&amp;", "&"))


def test_records_have_presets(browser: Browser) -> None:
    browser.submit("/domains", name="example.org", usage="parked")
    for path in ("/domains/example.org/records", "/domains/example.org/tls-records"):
        page = browser.get(path)
        assert re.search(r"from=\d{4}-\d\d-\d\dT00(:|%3A)00", page)


def test_report_filters_say_that_their_days_are_in_utc(browser: Browser) -> None:
    browser.client.set_cookie("time-zone", "Asia/Kolkata")
    assert "From (date, UTC)" in browser.get("/reports")

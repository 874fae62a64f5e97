"""The pages of alerts: counts, groups, comments, assignments and the way through the list."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from app import ids
from app.models import Alert
from app.services.alerts import alerts
from app.services.alerts.alerts import AlertFilter
from tests.support.dashboard_browser import Browser
from tests.support.dashboard_pages import run_queued_scans
from tests.support.people import colleague

TITLES = re.compile(r'<a class="title" href="(/alerts/[^"?]+)[^"]*">')
UNDO = re.compile(r'action="(/undo/[0-9a-f]{64})"')


@pytest.fixture
def browser(browser: Browser) -> Browser:
    """A user with the alerts of two domains."""
    for name in ("acme.test", "other.test"):
        browser.post("/domains", name=name, usage="sends-and-receives")
    run_queued_scans(browser)
    return browser


def open_alerts(browser: Browser) -> list[Alert]:
    return list(alerts.listing(browser.account_id, AlertFilter(status="open")).page(None, 50)[0])


def path_of(alert: Alert) -> str:
    return f"/alerts/{ids.public('alert', alert.id)}"


def history_of(page: str) -> str:
    text = re.sub(r"<[^>]+>", "", page.partition('<ol class="timeline">')[2].partition("</ol>")[0])
    return re.sub(r"\s+", " ", text)


def test_tabs_have_counts_and_the_most_severe_alert_is_first(browser: Browser) -> None:
    count = len(open_alerts(browser))
    page = browser.get("/alerts")
    assert f'aria-current="page">Open <span class="count">{count}</span>' in page
    severities = re.findall(r'<article class="alert-row (\w+)"', page)
    ranks = ["critical", "high", "medium", "low", "info"]
    assert severities == sorted(severities, key=ranks.index)
    assert "What it means and what to do" in page


def test_alerts_are_grouped_by_domain_and_by_cause(browser: Browser) -> None:
    headings = re.findall(r'<h2 class="group">(?:<a[^>]*>)?([\w.]+)', browser.get("/alerts"))
    assert headings == []
    page = browser.get("/alerts?group=domain")
    assert re.findall(r'<h2 class="group">(?:<a[^>]*>)?([\w.]+)', page) == [
        "acme.test",
        "other.test",
    ]
    assert "one cause, since" in browser.get("/alerts?group=cause")


def test_search_finds_words_of_the_title(browser: Browser) -> None:
    assert TITLES.search(browser.get("/alerts?q=more+than+one+record"))
    page = browser.get("/alerts?q=nothing+like+it")
    assert "No open alerts match q “nothing like it”." in page


def test_page_of_an_alert_leads_through_the_list(browser: Browser) -> None:
    order = TITLES.findall(browser.get("/alerts?domain=test"))
    page = browser.get(f"{order[1]}?domain=test")
    assert f'href="{order[0]}?status=open&amp;domain=test" data-key="k"' in page
    assert f'href="{order[2]}?status=open&amp;domain=test" data-key="j"' in page
    assert 'data-key="k"' not in browser.get(f"{order[0]}?domain=test")


def test_acknowledging_with_a_comment_is_told_in_the_history(browser: Browser) -> None:
    path = path_of(open_alerts(browser)[0])
    back = f"{path}?status=open"
    page = browser.submit(path, status="acknowledged", note="Ticket 4711", back=back)
    history = history_of(page)
    assert "ann@acme.test acknowledged this alert · just now Ticket 4711" in history
    assert "mailwatch opened this alert" in history


def test_comment_changes_no_status(browser: Browser) -> None:
    alert = open_alerts(browser)[0]
    page = browser.submit(path_of(alert), status="comment", note="I look at it")
    assert "Your comment was added." in page
    assert "ann@acme.test commented · just now I look at it" in history_of(page)
    assert alerts.find(browser.account_id, alert.id).status == "open"
    page = browser.submit(path_of(alert), status="comment", note=" ")
    assert "Enter a comment of 1 to 1000 characters." in page


def test_selected_alerts_are_assigned_and_the_assignment_undone(
    app: Flask, browser: Browser
) -> None:
    colleague(app, browser, "member")
    rows = open_alerts(browser)[:2]
    chosen = [ids.public("alert", row.id) for row in rows]
    page = browser.submit("/alerts/batch", id=chosen, status="assign", assignee="ann@acme.test")
    assert "2 alerts assigned to ann@acme.test." in page
    assert len(TITLES.findall(browser.get("/alerts?assignee=me"))) == 2
    undo = UNDO.search(page)
    assert undo is not None
    assert "Undone: 2 alerts restored." in browser.submit(undo[1])
    assert TITLES.findall(browser.get("/alerts?assignee=me")) == []
    page = browser.submit(f"{path_of(rows[0])}/assign", assignee="eve@other.test")
    assert "Choose a user of this account." in page


@pytest.mark.parametrize(
    ("preset", "least", "most"),
    [
        ("4h", timedelta(hours=3), timedelta(hours=4)),
        ("monday", timedelta(0), timedelta(days=7)),
        ("90", timedelta(days=89), timedelta(days=90)),
    ],
)
def test_alert_is_snoozed_for_a_preset(
    browser: Browser, preset: str, least: timedelta, most: timedelta
) -> None:
    alert = open_alerts(browser)[0]
    browser.submit(path_of(alert), status="snoozed", days=preset)
    until = alerts.find(browser.account_id, alert.id).snoozed_until
    assert until is not None
    assert least < until - datetime.now(UTC) <= most
    if preset == "monday":
        assert (until.weekday(), until.hour, until.minute) == (0, 8, 0)


def test_viewer_sees_no_addresses_of_others_and_no_forms(app: Flask, browser: Browser) -> None:
    alert = open_alerts(browser)[0]
    browser.submit(f"{path_of(alert)}/assign", assignee="ann@acme.test")
    viewer = colleague(app, browser, "viewer")
    for path in ("/alerts", path_of(alert)):
        page = viewer.get(path)
        assert "ann@acme.test" not in page
        assert 'name="assignee" aria-label="Assign to"' not in page

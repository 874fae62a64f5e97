"""Notification channels in the dashboard."""

import re

import pytest

from app.services.notifications import channel_pages
from tests.support.dashboard_browser import Browser
from tests.support.factories import add_email_channel, confirm_recipients

MAIL = {
    "name": "ops",
    "kind": "email",
    "target": "ops@acme.test, on-call@acme.test",
    "severity": "high",
    "cadence": "daily",
    "types": "dmarc.* spf.missing",
}


def add(browser: Browser, name: str = "ops") -> str:
    """The path of a channel."""
    add_email_channel(browser.account_id, name, "ops@acme.test")
    confirm_recipients(browser.account_id)
    match = re.search(
        r'href="(/settings/notifications/chan_\w+)"', browser.get("/settings/notifications")
    )
    assert match is not None
    return match[1]


def test_email_channel_is_added_with_its_filters(browser: Browser) -> None:
    response = browser.post("/settings/notifications", **MAIL)
    assert response.status_code == 303
    page = browser.get(response.headers["Location"])
    assert "ops@acme.test" in page
    assert "on-call@acme.test" in page
    assert "High and above, daily" in page
    assert "dmarc.*, spf.missing" in page


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"kind": "pigeon"}, "kind"),
        ({"target": "unknown"}, "target"),
        ({"kind": "webhook", "target": "http://127.0.0.1/x"}, "target"),
        ({"kind": "chat", "target": "file:///etc/passwd"}, "target"),
    ],
)
def test_invalid_destination_shows_an_error_next_to_the_field(
    browser: Browser, changes: dict[str, str], field: str
) -> None:
    response = browser.post("/settings/notifications", **{**MAIL, **changes})
    assert response.status_code in (400, 503)
    assert f'id="error-{field}"' in response.text
    assert channel_pages.listing(browser.account_id) == []


def test_test_event_is_sent_and_listed(browser: Browser) -> None:
    path = add(browser)
    response = browser.post(f"{path}/test")
    assert response.headers["Location"] == path
    assert "Test sent" in browser.get(path)


def test_channel_is_disabled_enabled_and_deleted(browser: Browser) -> None:
    path = add(browser)
    browser.post(f"{path}/disable")
    assert 'class="mark disabled"' in browser.get("/settings/notifications")
    assert browser.post(f"{path}/test").status_code == 400
    browser.post(f"{path}/enable")
    assert 'class="mark disabled"' not in browser.get("/settings/notifications")
    assert browser.post(f"{path}/replay").status_code == 303
    name = channel_pages.listing(browser.account_id)[0].channel.name
    browser.post(f"{path}/remove", confirm=name)
    browser.get(path, 404)
    assert "channel.removed" in browser.get("/settings/audit?about=channel.")


def test_channel_of_another_account_is_not_found(browser: Browser, stranger: Browser) -> None:
    path = add(browser)
    stranger.get(path, 404)
    for act in ("test", "disable", "enable", "replay", "remove"):
        assert stranger.post(f"{path}/{act}").status_code == 404, act
    assert "ops" not in stranger.get("/settings/notifications").partition("Add channel")[0]

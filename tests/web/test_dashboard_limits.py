"""The rate limits of the dashboard: by user, and by network without a session."""

import pytest
from flask import Flask

from app import settings as app_settings
from tests.support.dashboard_browser import Browser


@pytest.fixture(autouse=True)
def _few(app: Flask) -> None:
    app_settings.use(
        app_settings.current().replace(
            rate_limit="1 per minute",
            dashboard_rate_limit="5 per minute",
            dashboard_anonymous_rate_limit="4 per minute",
        )
    )


def test_rate_limited_user_sees_when_to_try_again(browser: Browser) -> None:
    statuses = [browser.client.get("/alerts").status_code for _ in range(5)]
    refused = browser.client.get("/alerts")
    assert (statuses, refused.status_code) == ([200] * 5, 429)
    assert refused.mimetype == "text/html"
    assert "Too many requests" in refused.text
    wait = refused.headers["Retry-After"]
    assert 1 <= int(wait) <= 60
    assert f"Try again in {wait} seconds." in refused.text
    assert browser.client.post("/domains", data={"name": "acme.test"}).status_code == 429


def test_all_sessions_of_a_user_share_one_limit(app: Flask, browser: Browser) -> None:
    other = Browser(app.test_client(), browser.user, browser.account_id)
    other.sign_in()
    for client in (browser.client, other.client, browser.client, other.client, browser.client):
        client.get("/alerts")
    assert other.client.get("/alerts").status_code == 429


def test_each_user_has_a_separate_limit(browser: Browser, stranger: Browser) -> None:
    for _ in range(6):
        browser.client.get("/alerts")
    assert stranger.client.get("/alerts").status_code == 200


def test_static_files_are_not_rate_limited(browser: Browser) -> None:
    for _ in range(9):
        with browser.client.get("/assets/style.css") as response:
            assert response.status_code == 200


def test_requests_without_a_session_are_limited_by_network(app: Flask) -> None:
    def get(address: str, cookie: str = "") -> int:
        client = app.test_client()
        client.set_cookie("session", cookie)
        return client.get("/auth/login", environ_base={"REMOTE_ADDR": address}).status_code

    statuses = [get(f"2001:db8::{number:x}", cookie=str(number)) for number in range(5)]
    assert statuses == [200] * 4 + [429]
    assert get("2001:db8:0:1::1") == 200

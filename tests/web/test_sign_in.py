"""Signing in and out, and the lifetime of a session."""

from datetime import timedelta
from typing import Any, Literal

import pytest
from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import select, update

from app.db import transactions
from app.models.accounts import BrowserSession
from app.services.accounts import accounts
from app.services.sign_in import passwords, sessions
from tests.support.dashboard_browser import PASSWORD, Browser, make_browser
from tests.support.factories import make_key

COOKIE = "session"


def token(browser: Browser) -> str:
    cookie = browser.client.get_cookie(COOKIE)
    assert cookie is not None
    return cookie.value


def test_correct_password_opens_the_dashboard(signed_out: Browser) -> None:
    response = signed_out.sign_in()
    assert (response.status_code, response.headers["Location"]) == (303, "/")
    assert "Add a domain" in signed_out.client.get("/", follow_redirects=True).text


def test_email_address_is_case_insensitive(signed_out: Browser) -> None:
    form = {"email": " ANN@Acme.test ", "password": PASSWORD}
    assert signed_out.client.post("/auth/login", data=form).status_code == 303


def test_unknown_email_and_wrong_password_give_the_same_page(signed_out: Browser) -> None:
    wrong = signed_out.sign_in("not this one at all")
    unknown = signed_out.client.post(
        "/auth/login", data={"email": "bob@acme.test", "password": "not this one at all"}
    )
    assert wrong.status_code == unknown.status_code == 400
    assert wrong.text.replace("ann@", "bob@") == unknown.text
    assert signed_out.client.get_cookie(COOKIE) is None


def test_sign_in_with_unknown_email_computes_a_hash_too(
    signed_out: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []

    class Hasher(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
            verified.append(str(hash))
            return super().verify(hash, password)

    monkeypatch.setattr(passwords, "_hasher", Hasher(time_cost=1, memory_cost=8, parallelism=1))
    assert sessions.sign_in("bob@acme.test", "x") is None
    assert sessions.sign_in("ann@acme.test", "x") is None
    assert [stored.startswith("$argon2id$") for stored in verified] == [True, True]


@pytest.mark.parametrize("email", ["", "a\0b@acme.test", "x" * 5000, "ä@ä"])
def test_invalid_email_address_is_refused(signed_out: Browser, email: str) -> None:
    form = {"email": email, "password": "\ud7ff" * 300}
    assert signed_out.client.post("/auth/login", data=form).status_code == 400


def test_session_cookie_is_http_only_and_same_site(signed_out: Browser) -> None:
    cookie = signed_out.sign_in().headers["Set-Cookie"]
    assert cookie.startswith("session=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))


def test_session_cookie_has_host_prefix_and_secure_except_on_localhost(signed_out: Browser) -> None:
    cookie = signed_out.sign_in(base_url="https://watch.test").headers["Set-Cookie"]
    assert cookie.startswith("__Host-session=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert signed_out.client.get("/domains", base_url="https://watch.test").status_code == 200


def test_database_does_not_store_the_session_token(browser: Browser) -> None:
    with transactions.transaction(readonly=True) as session:
        (row,) = session.scalars(select(BrowserSession))
    assert row.id != token(browser).encode()
    assert len(row.id) == 32


def test_sign_in_creates_a_new_session_and_ends_the_previous_one(browser: Browser) -> None:
    before = token(browser)
    browser.sign_in()
    assert token(browser) != before
    assert sessions.find(before) is None


def test_copied_cookie_does_not_work_after_sign_out(browser: Browser) -> None:
    copied = token(browser)
    assert browser.post("/auth/logout").headers["Location"] == "/auth/login"
    assert browser.client.get_cookie(COOKIE) is None
    browser.client.set_cookie(COOKIE, copied)
    assert browser.client.get("/domains").status_code == 303


@pytest.mark.parametrize(
    "values",
    [
        {"last_seen_at": sessions.IDLE},
        {"expires_at": sessions.MAX_LIFETIME, "created_at": sessions.MAX_LIFETIME},
    ],
)
def test_session_expires_when_idle_and_after_a_week(
    browser: Browser, values: dict[str, timedelta]
) -> None:
    with transactions.transaction() as session:
        row = session.scalars(select(BrowserSession)).one()
        shifted: dict[str, Any] = {name: getattr(row, name) - span for name, span in values.items()}
        session.execute(update(BrowserSession).values(**shifted))
    assert browser.client.get("/domains").status_code == 303


def test_activity_extends_a_session(browser: Browser) -> None:
    with transactions.transaction() as session:
        row = session.scalars(select(BrowserSession)).one()
        row.last_seen_at = last_seen_before = row.last_seen_at - timedelta(hours=11)
    browser.get("/domains")
    with transactions.transaction(readonly=True) as session:
        assert session.scalars(select(BrowserSession)).one().last_seen_at > last_seen_before


def test_suspending_an_account_ends_its_sessions(app: Flask) -> None:
    account = accounts.create("Gone")
    browser = make_browser(app, "ann@gone.test", account=account)
    browser.sign_in()
    accounts.suspend("Gone")
    assert browser.client.get("/domains").status_code == 303
    assert browser.sign_in().status_code == 400


@pytest.mark.parametrize(
    ("requested", "location"),
    [
        ("/alerts?status=open", "/alerts?status=open"),
        ("/domains/acme.test", "/domains/acme.test"),
        ("//evil.test", "/"),
        ("/\\evil.test", "/"),
        ("/%2f/evil.test", "/"),
        ("/%5cevil.test", "/"),
        ("/..//evil.test", "/"),
        ("https://evil.test", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        ("/%0d%0aSet-Cookie:x=y", "/"),
        ("", "/"),
    ],
)
def test_next_redirects_only_to_pages_of_this_site(
    signed_out: Browser, requested: str, location: str
) -> None:
    form = {"email": signed_out.user.email, "password": PASSWORD, "next": requested}
    response = signed_out.client.post("/auth/login", data=form)
    if "\r" in requested:
        assert response.headers.get("Location", "/") == "/"
        return
    assert response.headers["Location"] == location


def test_sign_in_returns_to_the_requested_page(signed_out: Browser) -> None:
    response = signed_out.client.get("/alerts?status=dismissed")
    assert response.headers["Location"] == "/auth/login?next=/alerts?status%3Ddismissed"
    page = signed_out.client.get(response.headers["Location"]).text
    assert 'name="next" value="/alerts?status=dismissed"' in page


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
    ],
)
def test_login_form_from_another_site_is_refused(
    signed_out: Browser, headers: dict[str, str]
) -> None:
    assert signed_out.sign_in(headers=headers).status_code == 400
    assert signed_out.client.get_cookie(COOKIE) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Origin": "http://localhost"},
    ],
)
def test_login_form_from_this_site_is_accepted(
    signed_out: Browser, headers: dict[str, str]
) -> None:
    assert signed_out.sign_in(headers=headers).status_code == 303


def test_api_ignores_cookies_and_dashboard_ignores_api_keys(app: Flask, browser: Browser) -> None:
    assert browser.client.get("/v1/me").status_code == 401
    assert browser.client.get("/v1/me").json["error"]["code"] == "unauthorized"  # type: ignore[index]
    _, key = make_key(browser.account_id)
    headers = {"Authorization": f"Bearer {key}"}
    assert app.test_client().get("/domains", headers=headers).status_code == 303

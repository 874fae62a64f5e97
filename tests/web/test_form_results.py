"""Secrets and outcomes that a form redirects to: created once, and shown once."""

import re

import pytest
from flask import Flask
from sqlalchemy import select

from app.db.transactions import transaction
from app.models import ApiKey, FormResult
from app.services.api_keys import api_keys
from app.services.sign_in import form_results
from app.web.base import pages
from tests.support.dashboard_browser import PASSWORD, Browser
from tests.support.dashboard_pages import routes
from tests.support.people import colleague, turn_on

KEY = {"name": "ci", "scopes": "domains:read", "days": "30"}
NEW_DOMAINS = {"names": "one.test com", "usage": "sends-only", "schedule": "daily"}
NONCE = "0" * 32
SHOWN = "This secret was shown once"
FORMS = (
    ("/settings/keys", KEY, r"mp_[0-9A-Za-z]{50}"),
    ("/settings/upload-tokens", {"name": "server"}, r"mu_[0-9A-Za-z]{50}"),
    ("/settings/team", {"email": "bob@acme.test", "role": "member"}, r"/auth/invitation/[\w-]+"),
)


def key_of(browser: Browser) -> ApiKey:
    [key] = api_keys.search(browser.account_id)
    return key


@pytest.mark.parametrize(("path", "form", "secret"), FORMS)
def test_a_secret_is_shown_once_and_only_in_its_session(
    app: Flask, browser: Browser, path: str, form: dict[str, str], secret: str
) -> None:
    other = colleague(app, browser, "owner")
    location = browser.post(path, **form).headers["Location"]
    assert other.client.get(location).status_code == 404
    page = browser.get(location)
    [shown] = set(re.findall(secret, page))
    for _ in range(2):
        again = browser.get(location, 410)
        assert SHOWN in again
        assert shown not in again
    with transaction() as session:
        stored = session.scalars(select(FormResult)).all()
    assert [row.text_encrypted for row in stored] == [None]


def test_recovery_codes_are_shown_once(browser: Browser) -> None:
    turn_on(browser)
    response = browser.post("/settings/security/recovery-codes", current=PASSWORD)
    location = response.headers["Location"]
    assert "Your recovery codes" in browser.get(location)
    assert SHOWN in browser.get(location, 410)


def test_a_secret_is_not_stored_in_clear_text_before_it_is_shown(browser: Browser) -> None:
    location = browser.post("/settings/keys", **KEY).headers["Location"]
    with transaction() as session:
        stored = session.scalars(select(FormResult.text_encrypted)).one()
    assert stored is not None
    assert "mp_" not in stored
    assert "mp_" in browser.get(location)


@pytest.mark.parametrize(("path", "form", "secret"), FORMS)
def test_a_form_that_is_sent_twice_creates_one_secret(
    browser: Browser, path: str, form: dict[str, str], secret: str
) -> None:
    first = browser.post(path, submission=NONCE, **form)
    second = browser.post(path, submission=NONCE, **form)
    assert first.headers["Location"] == second.headers["Location"]
    assert len(set(re.findall(secret, browser.get(first.headers["Location"])))) == 1
    assert len(api_keys.search(browser.account_id)) == (path == "/settings/keys")


def test_a_changed_form_is_another_one(browser: Browser) -> None:
    for name in ("ci", "staging"):
        browser.post("/settings/keys", submission=NONCE, **{**KEY, "name": name})
    assert {key.name for key in api_keys.search(browser.account_id)} == {"ci", "staging"}


def test_a_refused_form_can_be_sent_again(browser: Browser) -> None:
    form = {"email": browser.user.email, "role": "member", "submission": NONCE}
    for _ in range(2):
        assert browser.post("/settings/team", **form).status_code == 409


def test_the_page_waits_for_a_form_that_is_still_processed(browser: Browser) -> None:
    token = browser.client.get_cookie("session")
    assert token is not None
    assert form_results.begin(token.value, "f" * 64, "api_key")
    assert not form_results.begin(token.value, "f" * 64, "api_key")
    response = browser.client.get(f"/results/{'f' * 64}")
    assert (response.status_code, response.headers["Refresh"]) == (200, "1")


def test_a_result_expires(browser: Browser) -> None:
    location = browser.post("/settings/keys", **KEY).headers["Location"]
    with transaction() as session:
        row = session.scalars(select(FormResult)).one()
        row.expires_at -= form_results.LIFETIME
    assert "mp_" not in browser.get(location, 404)


def test_a_rotated_key_is_not_rotated_again(browser: Browser) -> None:
    browser.post("/settings/keys", **KEY, cidrs="192.0.2.0/24", limit="50")
    old = key_of(browser)
    path = f"/settings/keys/{old.key_id}"
    page = browser.submit(f"{path}/rotate", grace="24")
    assert old.key_id in page
    response = browser.post(f"{path}/rotate", grace="24")
    assert response.status_code == 400
    assert "This key was already rotated" in response.text
    assert "Rotate key" not in browser.get(path)
    new, _ = api_keys.search(browser.account_id)
    for name in ("name", "scopes", "allow_cidrs", "rate_limit", "expires_at"):
        assert getattr(new, name) == getattr(old, name)


def test_a_successful_form_of_any_page_is_answered_with_a_redirect(
    app: Flask, browser: Browser
) -> None:
    last = ("web.security.end_all", "web.auth.logout", "web.account.delete")
    values = {**KEY, "email": "bob@acme.test", "role": "member", "current": PASSWORD}
    values |= {"names": "one.test two.test", "usage": "sends-only", "schedule": "daily"}
    paths = {endpoint: path for method, path, endpoint in routes(app) if method == "POST"}
    redirected = set()
    for endpoint in sorted(paths.keys() - pages.PUBLIC - set(last)):
        response = browser.post(paths[endpoint], **values)  # checks the status
        if response.status_code == 303:
            redirected.add(endpoint)
    assert {"web.keys.create", "web.team.invite", "web.domains.create_many"} <= redirected


def test_added_domains_can_be_reloaded(browser: Browser) -> None:
    response = browser.post("/domains/add", **NEW_DOMAINS)
    for _ in range(2):
        page = browser.get(response.headers["Location"])
        assert "1 of 2 domains added" in page
        assert "not added" in page.lower()

"""Upload tokens in the dashboard and on the command line."""

import re

from flask import Flask

from app import ids
from app.services.accounts import accounts
from app.services.api_keys import upload_tokens
from app.services.ingest import tokens
from tests.support.dashboard_browser import Browser, make_browser
from tests.support.factories import ACTOR


def test_admin_creates_and_revokes_a_token(browser: Browser) -> None:
    tokens.create(browser.account_id, actor=ACTOR)
    created = browser.submit("/settings/upload-tokens", name="mail server", days="30")
    [token] = set(re.findall(r"mu_[0-9A-Za-z]{50}", created))
    assert upload_tokens.authenticate(token) is not None
    page = browser.get("/settings/upload-tokens")
    assert "mail server" in page
    assert token not in page
    browser.post(f"/settings/upload-tokens/{token[3:15]}/revoke")
    assert upload_tokens.authenticate(token) is None
    assert "revoked" in browser.get("/settings/upload-tokens")


def test_bad_input_is_shown_in_the_form(browser: Browser) -> None:
    for form in ({"name": ""}, {"name": "x", "days": "0"}):
        assert browser.post("/settings/upload-tokens", **form).status_code == 400
    assert upload_tokens.search(browser.account_id) == []


def test_another_account_cannot_revoke_it(browser: Browser, stranger: Browser) -> None:
    row, token = upload_tokens.issue(browser.account_id, "mine", actor=ACTOR)
    response = stranger.post(f"/settings/upload-tokens/{row.token_id}/revoke")
    assert response.status_code == 404
    assert upload_tokens.authenticate(token) is not None


def test_viewer_sees_no_secret(app: Flask, browser: Browser) -> None:
    _, token = upload_tokens.issue(browser.account_id, "mine", actor=ACTOR)
    account = accounts.find(ids.public("acc", browser.account_id))
    viewer = make_browser(app, "vic@acme.test", role="viewer", account=account)
    viewer.sign_in()
    assert token not in viewer.get("/settings/upload-tokens")
    assert viewer.post("/settings/upload-tokens", name="x").status_code == 403

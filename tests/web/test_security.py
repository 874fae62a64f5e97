"""The security page: password, two-factor authentication, recovery codes and sessions."""

import re

import pytest
from flask import Flask
from sqlalchemy import select

from app.db import transactions
from app.models import AuditEvent, BrowserSession, RecoveryCode, User
from app.protocols import totp
from app.services.people import people_pages
from app.services.sign_in import sessions, two_factor
from tests.support.cli import run
from tests.support.dashboard_browser import PASSWORD, Browser
from tests.support.people import NEW, code_of, code_of_step, secret_of, turn_on


def test_password_alone_does_not_sign_in_with_two_factor_authentication(browser: Browser) -> None:
    secret, _ = turn_on(browser)
    response = browser.sign_in()
    assert response.headers["Location"] == "/auth/code?next=/"
    assert browser.client.get("/domains").headers["Location"].startswith("/auth/login")
    assert "six digits" in browser.get("/auth/code")
    response = browser.client.post("/auth/code", data={"code": code_of(secret), "next": "/alerts"})
    assert response.headers["Location"] == "/alerts"
    browser.get("/domains")


def test_session_changes_after_the_second_factor(browser: Browser) -> None:
    secret, _ = turn_on(browser)
    browser.sign_in()
    before = browser.client.get_cookie("session")
    browser.client.post("/auth/code", data={"code": code_of(secret)})
    after = browser.client.get_cookie("session")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    assert sessions.awaiting_code(before.value) is None
    assert sessions.find(before.value) is None


def test_code_works_only_once(browser: Browser) -> None:
    secret, _ = turn_on(browser)
    code = code_of(secret)
    for status in (303, 400):
        browser.sign_in()
        response = browser.client.post("/auth/code", data={"code": code})
        assert response.status_code == status
    assert "Invalid or already used code" in response.text


def test_code_used_to_enable_two_factor_does_not_work_again(browser: Browser) -> None:
    secret, _ = turn_on(browser)
    with transactions.transaction(readonly=True) as session:
        step = session.scalar(select(User.totp_step))
    assert step is not None
    browser.sign_in()
    response = browser.client.post("/auth/code", data={"code": code_of_step(secret, step)})
    assert response.status_code == 400


def test_recovery_code_works_once_in_any_spelling(browser: Browser) -> None:
    _, codes = turn_on(browser)
    assert len(set(codes)) == two_factor.RECOVERY_CODES
    for status in (303, 400):
        browser.sign_in()
        typed = codes[0].upper().replace("-", " ")
        assert browser.client.post("/auth/code", data={"code": typed}).status_code == status
    assert (
        people_pages.security(browser.user.id, "").two_factor.codes_left
        == two_factor.RECOVERY_CODES - 1
    )


@pytest.mark.parametrize("code", ["", "000000", "１２３４５６", "x" * 5000, "2222-2222-2222-2222"])
def test_invalid_code_is_refused(browser: Browser, code: str) -> None:
    turn_on(browser)
    browser.sign_in()
    assert browser.client.post("/auth/code", data={"code": code}).status_code == 400
    assert browser.client.get("/domains").status_code == 303
    with transactions.transaction(readonly=True) as session:
        actions = session.scalars(select(AuditEvent.action)).all()
    assert "user.code_refused" in actions


def test_code_page_requires_a_password_first(signed_out: Browser) -> None:
    assert signed_out.client.get("/auth/code").headers["Location"] == "/auth/login?next=/"
    response = signed_out.client.post("/auth/code", data={"code": "123456"})
    assert response.headers["Location"].startswith("/auth/login")


def test_code_page_expires_after_five_minutes(browser: Browser) -> None:
    secret, _ = turn_on(browser)
    browser.sign_in()
    with transactions.transaction() as session:
        row = session.scalars(select(BrowserSession).where(BrowserSession.mfa_pending)).one()
        row.expires_at -= sessions.CODE_TIMEOUT
    response = browser.client.post("/auth/code", data={"code": code_of(secret)})
    assert response.headers["Location"].startswith("/auth/login")


def test_secret_and_recovery_codes_are_not_stored_in_clear_text(browser: Browser) -> None:
    secret, codes = turn_on(browser)
    with transactions.transaction(readonly=True) as session:
        stored = session.scalar(select(User.totp_secret))
        digests = session.scalars(select(RecoveryCode.digest)).all()
    assert stored is not None
    assert secret.hex() not in stored
    assert totp.text_of(secret) not in stored
    assert not {code.replace("-", "").encode() for code in codes} & set(digests)


def test_offer_for_another_user_does_not_enable_two_factor(
    browser: Browser, stranger: Browser
) -> None:
    page = stranger.get("/settings/security/second-factor")
    offer = re.search(r'name="offer" value="([^"]+)"', page)
    assert offer is not None
    secret = secret_of(page)
    path = "/settings/security/second-factor"
    for sealed in (offer[1], "", "x", "é"):
        form = {"offer": sealed, "code": code_of(secret), "current": PASSWORD}
        assert browser.post(path, **form).status_code == 400
    assert not people_pages.security(browser.user.id, "").two_factor.is_on


@pytest.mark.parametrize("current", ["", "not this one"])
def test_enabling_two_factor_requires_the_password(browser: Browser, current: str) -> None:
    page = browser.get("/settings/security/second-factor")
    offer = re.search(r'name="offer" value="([^"]+)"', page)
    assert offer is not None
    form = {"offer": offer[1], "code": code_of(secret_of(page), 0), "current": current}
    response = browser.post("/settings/security/second-factor", **form)
    assert response.status_code == 400
    assert "Incorrect current password" in response.text
    assert offer[1] in response.text  # the same secret is still offered
    assert not people_pages.security(browser.user.id, "").two_factor.is_on
    assert browser.sign_in().headers["Location"] == "/"


def test_disabling_two_factor_and_new_codes_require_the_password(browser: Browser) -> None:
    _secret, _codes = turn_on(browser)
    for path in ("recovery-codes", "second-factor/off"):
        response = browser.post(f"/settings/security/{path}", current="not this one")
        assert response.status_code == 400
        assert "Incorrect current password" in response.text
    assert browser.post("/settings/security/recovery-codes", current=PASSWORD).status_code == 303
    assert browser.post("/settings/security/second-factor/off", current=PASSWORD).status_code == 303
    assert browser.sign_in().headers["Location"] == "/"


def test_password_change_ends_the_other_sessions(app: Flask, browser: Browser) -> None:
    other = Browser(app.test_client(), browser.user, browser.account_id)
    other.sign_in()
    form = {"current": PASSWORD, "password": NEW, "again": NEW}
    response = browser.post("/settings/security/password", **form)
    assert response.status_code == 303
    browser.get("/domains")
    assert other.client.get("/domains").status_code == 303
    assert other.sign_in().status_code == 400
    assert other.sign_in(NEW).status_code == 303


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"current": "wrong", "password": NEW, "again": NEW}, "Incorrect current password"),
        ({"current": PASSWORD, "password": NEW, "again": NEW + "!"}, "passwords don&#39;t match"),
        ({"current": PASSWORD, "password": "short", "again": "short"}, "12 to 200"),
        ({"current": PASSWORD, "password": "a" * 20, "again": "a" * 20}, "easy to guess"),
        (
            {"current": PASSWORD, "password": PASSWORD, "again": PASSWORD},
            "other than the current one",
        ),
        ({"current": PASSWORD, "password": "password1234", "again": "password1234"}, "easy to"),
    ],
)
def test_invalid_password_shows_an_error_next_to_the_field(
    browser: Browser, form: dict[str, str], words: str
) -> None:
    response = browser.post("/settings/security/password", **form)
    assert response.status_code == 400
    assert words in response.text
    assert browser.sign_in().status_code == 303


def test_sessions_are_listed_and_one_can_be_ended(app: Flask, browser: Browser) -> None:
    other = Browser(app.test_client(), browser.user, browser.account_id)
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    other.sign_in(headers={"User-Agent": agent})
    page = browser.get("/settings/security")
    assert "Firefox on Linux" in page
    match = re.search(r"/settings/security/sessions/([0-9a-f]{64})/end", page)
    assert match is not None
    browser.post(f"/settings/security/sessions/{match[1]}/end")
    assert other.client.get("/domains").status_code == 303
    browser.get("/domains")


def test_session_of_another_user_cannot_be_ended(browser: Browser, stranger: Browser) -> None:
    (row, _), *_ = people_pages.security(stranger.user.id, "").sessions
    browser.post(f"/settings/security/sessions/{row.id.hex()}/end")
    stranger.get("/domains")
    assert browser.post("/settings/security/sessions/xyz/end").status_code == 404


def test_signing_out_everywhere_ends_every_session(app: Flask, browser: Browser) -> None:
    other = Browser(app.test_client(), browser.user, browser.account_id)
    other.sign_in()
    assert browser.post("/settings/security/sessions/end-all").status_code == 303
    for user in (browser, other):
        assert user.client.get("/domains").status_code == 303


def test_operator_resets_the_second_factor(app: Flask, browser: Browser, stranger: Browser) -> None:
    turn_on(browser)
    phone = Browser(app.test_client(), browser.user, browser.account_id)
    phone.sign_in()  # waits for a code
    printed = run(app, "users", "reset-second-factor", " ANN@acme.test")
    assert "ann@acme.test in account" in printed
    assert "recovery codes deleted: 10" in printed
    assert "sessions ended: 2" in printed
    assert phone.client.get("/auth/code").status_code == 303
    assert browser.client.get("/domains").status_code == 303
    assert browser.sign_in("a wrong password").status_code == 400
    assert browser.sign_in().headers["Location"] == "/"
    assert "Enable two-factor authentication" in browser.get("/settings/security")
    log = browser.get("/settings/audit?about=user.")
    assert "user.second_factor_reset" in log
    assert "user:operator" in log
    assert "Audit" in stranger.get("/settings/audit")  # sessions of other users have not ended
    with transactions.transaction(readonly=True) as session:
        assert session.scalars(select(RecoveryCode)).all() == []
    assert turn_on(browser)[1]  # as for a user who never had one


@pytest.mark.parametrize("email", ["unknown@acme.test", ""])
def test_reset_of_unknown_user_changes_nothing(app: Flask, browser: Browser, email: str) -> None:
    turn_on(browser)
    assert "Not found" in run(app, "users", "reset-second-factor", email, status=1)
    assert people_pages.security(browser.user.id, "").two_factor.is_on


def test_reset_without_second_factor_changes_nothing(app: Flask, browser: Browser) -> None:
    printed = run(app, "users", "reset-second-factor", "ann@acme.test", status=1)
    assert "ann@acme.test has no second factor; nothing was changed" in printed
    browser.get("/domains")

"""A person's own way in: password, second factor, recovery codes and sessions."""

import re

import pytest
from flask import Flask
from sqlalchemy import select

from app.db import transactions
from app.models import AuditEvent, BrowserSession, RecoveryCode, User
from app.protocols import totp
from app.services.accounts import sessions, two_factor
from tests.test_cli import run
from tests.web.conftest import PASSWORD, Browser
from tests.web.people import NEW, code_of, secret_of, turn_on


def test_with_a_second_factor_the_password_alone_opens_nothing(browser: Browser) -> None:
    secret, _ = turn_on(browser)
    response = browser.sign_in()
    assert response.headers["Location"] == "/auth/code?next=/"
    assert browser.client.get("/domains").headers["Location"].startswith("/auth/login")
    assert "six digits" in browser.get("/auth/code")
    response = browser.client.post("/auth/code", data={"code": code_of(secret), "next": "/alerts"})
    assert response.headers["Location"] == "/alerts"
    browser.get("/domains")


def test_the_way_to_the_code_is_another_session_than_the_one_behind_it(browser: Browser) -> None:
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


def test_a_code_is_taken_once(browser: Browser) -> None:
    secret, _ = turn_on(browser)
    code = code_of(secret)
    for status in (303, 400):
        browser.sign_in()
        response = browser.client.post("/auth/code", data={"code": code})
        assert response.status_code == status
    assert "Invalid or already used code" in response.text


def test_the_code_that_turned_it_on_is_spent_too(browser: Browser) -> None:
    secret, _ = turn_on(browser)
    with transactions.transaction(readonly=True) as session:
        step = session.scalar(select(User.totp_step))
    assert step is not None
    browser.sign_in()
    response = browser.client.post("/auth/code", data={"code": totp.code(secret, step)})
    assert response.status_code == 400


def test_a_recovery_code_lets_in_once_in_any_spelling(browser: Browser) -> None:
    _, codes = turn_on(browser)
    assert len(set(codes)) == two_factor.RECOVERY_CODES
    for status in (303, 400):
        browser.sign_in()
        typed = codes[0].upper().replace("-", " ")
        assert browser.client.post("/auth/code", data={"code": typed}).status_code == status
    assert two_factor.state(browser.user.id).codes_left == two_factor.RECOVERY_CODES - 1


@pytest.mark.parametrize("code", ["", "000000", "１２３４５６", "x" * 5000, "2222-2222-2222-2222"])
def test_what_is_no_code_lets_nobody_in(browser: Browser, code: str) -> None:
    turn_on(browser)
    browser.sign_in()
    assert browser.client.post("/auth/code", data={"code": code}).status_code == 400
    assert browser.client.get("/domains").status_code == 303
    with transactions.transaction(readonly=True) as session:
        actions = session.scalars(select(AuditEvent.action)).all()
    assert "user.code_refused" in actions


def test_nobody_is_asked_for_a_code_without_a_password(visitor: Browser) -> None:
    assert visitor.client.get("/auth/code").headers["Location"] == "/auth/login?next=/"
    response = visitor.client.post("/auth/code", data={"code": "123456"})
    assert response.headers["Location"].startswith("/auth/login")


def test_the_question_for_a_code_is_over_after_five_minutes(browser: Browser) -> None:
    secret, _ = turn_on(browser)
    browser.sign_in()
    with transactions.transaction() as session:
        row = session.scalars(select(BrowserSession).where(BrowserSession.mfa_pending)).one()
        row.expires_at -= sessions.CODE_TIMEOUT
    response = browser.client.post("/auth/code", data={"code": code_of(secret)})
    assert response.headers["Location"].startswith("/auth/login")


def test_neither_secret_nor_codes_are_in_the_database_as_they_are(browser: Browser) -> None:
    secret, codes = turn_on(browser)
    with transactions.transaction(readonly=True) as session:
        stored = session.scalar(select(User.totp_secret))
        digests = session.scalars(select(RecoveryCode.digest)).all()
    assert stored is not None
    assert secret.hex() not in stored
    assert totp.text_of(secret) not in stored
    assert not {code.replace("-", "").encode() for code in codes} & set(digests)


def test_an_offer_made_to_somebody_else_turns_nothing_on(
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
    assert not two_factor.state(browser.user.id).is_on


@pytest.mark.parametrize("current", ["", "not this one"])
def test_a_stolen_session_without_the_password_turns_nothing_on(
    browser: Browser, current: str
) -> None:
    page = browser.get("/settings/security/second-factor")
    offer = re.search(r'name="offer" value="([^"]+)"', page)
    assert offer is not None
    form = {"offer": offer[1], "code": code_of(secret_of(page), 0), "current": current}
    response = browser.post("/settings/security/second-factor", **form)
    assert response.status_code == 400
    assert "Incorrect current password" in response.text
    assert offer[1] in response.text  # the same secret is still offered
    assert not two_factor.state(browser.user.id).is_on
    assert browser.sign_in().headers["Location"] == "/"


def test_turning_it_off_and_new_codes_want_the_password(browser: Browser) -> None:
    _secret, _codes = turn_on(browser)
    for path in ("recovery-codes", "second-factor/off"):
        response = browser.post(f"/settings/security/{path}", current="not this one")
        assert response.status_code == 400
        assert "Incorrect current password" in response.text
    assert browser.post("/settings/security/recovery-codes", current=PASSWORD).status_code == 201
    assert browser.post("/settings/security/second-factor/off", current=PASSWORD).status_code == 303
    assert browser.sign_in().headers["Location"] == "/"


def test_a_new_password_ends_the_other_sessions(app: Flask, browser: Browser) -> None:
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
        ({"current": PASSWORD, "password": NEW, "again": NEW + "!"}, "passwords are different"),
        ({"current": PASSWORD, "password": "short", "again": "short"}, "12 to 200"),
        ({"current": PASSWORD, "password": "a" * 20, "again": "a" * 20}, "easily guessed"),
        (
            {"current": PASSWORD, "password": PASSWORD, "again": PASSWORD},
            "other than the current one",
        ),
        ({"current": PASSWORD, "password": "password1234", "again": "password1234"}, "guessed"),
    ],
)
def test_a_password_that_will_not_do_is_said_next_to_the_field(
    browser: Browser, form: dict[str, str], words: str
) -> None:
    response = browser.post("/settings/security/password", **form)
    assert response.status_code == 400
    assert words in response.text
    assert browser.sign_in().status_code == 303


def test_the_sessions_are_listed_and_one_can_be_ended(app: Flask, browser: Browser) -> None:
    other = Browser(app.test_client(), browser.user, browser.account_id)
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    other.sign_in(headers={"User-Agent": agent})
    page = browser.get("/settings/security")
    assert "Firefox on Linux" in page
    found = re.search(r"/settings/security/sessions/([0-9a-f]{64})/end", page)
    assert found is not None
    browser.post(f"/settings/security/sessions/{found[1]}/end")
    assert other.client.get("/domains").status_code == 303
    browser.get("/domains")


def test_a_session_of_somebody_else_cannot_be_ended(browser: Browser, stranger: Browser) -> None:
    page = sessions.of_user(stranger.user.id)
    browser.post(f"/settings/security/sessions/{page[0].id.hex()}/end")
    stranger.get("/domains")
    assert browser.post("/settings/security/sessions/xyz/end").status_code == 404


def test_signing_out_everywhere_ends_every_session(app: Flask, browser: Browser) -> None:
    other = Browser(app.test_client(), browser.user, browser.account_id)
    other.sign_in()
    assert browser.post("/settings/security/sessions/end-all").status_code == 303
    for each in (browser, other):
        assert each.client.get("/domains").status_code == 303


def test_an_operator_lets_in_who_has_lost_the_second_factor(
    app: Flask, browser: Browser, stranger: Browser
) -> None:
    turn_on(browser)
    phone = Browser(app.test_client(), browser.user, browser.account_id)
    phone.sign_in()  # waits for a code that nobody can give
    printed = run(app, "users", "reset-second-factor", " ANN@acme.test")
    assert "ann@acme.test of account" in printed
    assert "recovery codes forgotten: 10" in printed
    assert "sessions ended: 2" in printed
    assert phone.client.get("/auth/code").status_code == 303
    assert browser.client.get("/domains").status_code == 303
    assert browser.sign_in("a wrong password").status_code == 400
    assert browser.sign_in().headers["Location"] == "/"
    assert "Turn on" in browser.get("/settings/security")
    log = browser.get("/settings/audit?about=user.")
    assert "user.second_factor_reset" in log
    assert "user:operator" in log
    assert "Audit" in stranger.get("/settings/audit")  # nobody else's session has ended
    with transactions.transaction(readonly=True) as session:
        assert session.scalars(select(RecoveryCode)).all() == []
    assert turn_on(browser)[1]  # as anybody who never had one


@pytest.mark.parametrize("email", ["nobody@acme.test", ""])
def test_nothing_is_reset_of_somebody_who_is_not_there(
    app: Flask, browser: Browser, email: str
) -> None:
    turn_on(browser)
    assert "no such thing" in run(app, "users", "reset-second-factor", email, status=1)
    assert two_factor.state(browser.user.id).is_on


def test_without_a_second_factor_there_is_nothing_to_reset(app: Flask, browser: Browser) -> None:
    printed = run(app, "users", "reset-second-factor", "ann@acme.test", status=1)
    assert "ann@acme.test has no second factor; nothing was changed" in printed
    browser.get("/domains")

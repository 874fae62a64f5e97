"""Links by email with which people who lost their password choose a new one."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import Engine, event, func, select
from werkzeug.test import TestResponse

from app import ids
from app import settings as app_settings
from app.db.transactions import transaction
from app.errors import NotFound
from app.models import AuditEvent, BrowserSession, Email, PasswordReset, User
from app.services.accounts import accounts
from app.services.emails import emails
from app.services.people import users
from app.services.sign_in import password_resets
from app.settings import Settings
from app.web.sign_in.login_throttle import RESETS_BY_EMAIL, RESETS_BY_NETWORK
from tests.support.dashboard_browser import PASSWORD, Browser
from tests.support.people import NEW, code_of, invite, turn_on
from tests.support.smtp_server import Inbox, open_inbox

ANN = "ann@acme.test"


@pytest.fixture
def inbox(app: Flask, settings: Settings) -> Iterator[Inbox]:
    """The configured mail server."""
    with open_inbox() as inbox:
        app_settings.use(settings.replace(smtp_url=inbox.url, base_url="https://watch.test"))
        yield inbox
        app_settings.use(settings)


def request_link(app: Flask, email: str = ANN, address: str = "192.0.2.1") -> TestResponse:
    """Send the form with a new browser."""
    environ = {"REMOTE_ADDR": address}
    return app.test_client().post("/auth/password", data={"email": email}, environ_base=environ)


def link(app: Flask, inbox: Inbox, email: str = ANN) -> str:
    """Request a link; returns its path from the email."""
    assert request_link(app, email).status_code == 303
    password_resets.send_requested()
    emails.send_due()
    paths = re.findall(
        r"https://watch\.test(/auth/password/[\w-]+)", inbox.to(email)[-1].get_content()
    )
    assert len(paths) == 1
    return str(paths[0])


def choose(app: Flask, path: str, password: str = NEW, **form: str) -> TestResponse:
    """Send the form of the link with a new browser."""
    return app.test_client().post(path, data={"password": password, **form})


def sign_in(app: Flask, password: str, email: str = ANN) -> TestResponse:
    """Sign in with a new browser."""
    return app.test_client().post("/auth/login", data={"email": email, "password": password})


def password_hash(email: str = ANN) -> str:
    with transaction(readonly=True) as session:
        return session.scalars(select(User.password_hash).where(User.email == email)).one()


def rows() -> list[PasswordReset]:
    with transaction(readonly=True) as session:
        return list(session.scalars(select(PasswordReset)))


def test_link_sets_a_new_password_and_ends_all_sessions(
    app: Flask, browser: Browser, inbox: Inbox
) -> None:
    assert 'href="/auth/password"' in app.test_client().get("/auth/login").text
    path = link(app, inbox)
    page = app.test_client().get(path)
    assert (page.status_code, ANN in page.text) == (200, True)
    response = choose(app, path)
    assert (response.status_code, response.headers["Location"]) == (303, "/auth/login")
    assert sign_in(app, PASSWORD).status_code == 400
    assert browser.client.get("/").status_code == 303
    with transaction(readonly=True) as session:
        assert session.scalar(select(func.count()).select_from(BrowserSession)) == 0
    assert sign_in(app, NEW).headers["Location"] == "/"
    emails.send_due()
    notice = inbox.to(ANN)[-1]
    assert notice["Subject"] == "Your password was reset"


def test_request_and_change_are_in_the_audit_log(
    app: Flask, browser: Browser, inbox: Inbox
) -> None:
    choose(app, link(app, inbox))
    with transaction(readonly=True) as session:
        requested, changed = session.scalars(
            select(AuditEvent)
            .where(AuditEvent.action.startswith("user.password_reset"))
            .order_by(AuditEvent.id)
        )
    assert (requested.action, requested.actor) == ("user.password_reset_requested", "anonymous")
    assert (requested.target, requested.address) == (ANN, "192.0.2.1")
    assert (changed.action, changed.actor) == ("user.password_reset", f"user:{ANN}")
    assert changed.details["sessions"] == 1


def test_link_does_not_replace_the_second_factor(
    app: Flask, browser: Browser, inbox: Inbox
) -> None:
    secret, _ = turn_on(browser)
    response = choose(app, link(app, inbox))
    assert not any(text.startswith("session=") for text in response.headers.getlist("Set-Cookie"))
    client = app.test_client()
    response = client.post("/auth/login", data={"email": ANN, "password": NEW})
    assert response.headers["Location"].startswith("/auth/code")
    assert client.get("/").status_code == 303
    assert client.post("/auth/code", data={"code": code_of(secret)}).status_code == 303
    assert client.get("/").status_code == 200


def observed_request(app: Flask, database: Engine, email: str) -> tuple[object, list[str]]:
    """What the client sees of the response, and the statements that the request executed."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(database, "before_cursor_execute", note)
    response = request_link(app, email)
    event.remove(database, "before_cursor_execute", note)
    cookies = [cookie.partition(";")[0] for cookie in response.headers.getlist("Set-Cookie")]
    return (response.status_code, response.headers["Location"], response.text, cookies), statements


@pytest.mark.parametrize("reason", ["unknown", "disabled", "suspended"])
def test_response_and_its_queries_do_not_reveal_users(
    app: Flask, database: Engine, signed_out: Browser, stranger: Browser, inbox: Inbox, reason: str
) -> None:
    """The time is the same because the work is the same: the address is not looked up."""
    email = stranger.user.email
    if reason == "unknown":
        email = "unknown@other.test"
    elif reason == "disabled":
        users.disable(email, actor="user:operator")
    else:
        accounts.suspend(ids.public("acc", stranger.account_id), actor="user:operator")
    (first, queries), (second, other_queries) = (
        observed_request(app, database, address) for address in (ANN, email)
    )
    assert first == second
    assert queries == other_queries != []
    assert not any("users" in statement for statement in queries)
    assert password_resets.send_requested() == 2
    emails.send_due()
    assert [message["To"] for message in inbox.messages] == [ANN]
    assert [(row.email, row.user_id) for row in rows()] == [(None, signed_out.user.id)]


def test_used_link_does_not_work_again(app: Flask, signed_out: Browser, inbox: Inbox) -> None:
    first, second = link(app, inbox), link(app, inbox)
    assert choose(app, second).status_code == 303
    before = password_hash()
    for path in (first, second):
        assert app.test_client().get(path).status_code == 404
        response = choose(app, path, "an altogether different horse")
        assert response.status_code == 404
        assert "This link no longer works" in response.text
    assert password_hash() == before


def test_expired_link_does_not_work(app: Flask, signed_out: Browser, inbox: Inbox) -> None:
    path, before = link(app, inbox), password_hash()
    with transaction() as session:
        session.scalars(select(PasswordReset)).one().expires_at -= password_resets.LIFETIME
    assert choose(app, path).status_code == 404
    assert password_hash() == before


def test_request_that_waited_for_an_hour_is_not_answered(
    app: Flask, signed_out: Browser, inbox: Inbox
) -> None:
    request_link(app)
    with transaction() as session:
        session.scalars(select(PasswordReset)).one().expires_at -= timedelta(hours=1)
    password_resets.send_requested()
    assert rows() == []
    assert emails.send_due() == 0


def test_link_changes_only_the_password_of_its_user(
    app: Flask, signed_out: Browser, stranger: Browser, inbox: Inbox
) -> None:
    before = password_hash(stranger.user.email)
    assert choose(app, link(app, inbox), email=stranger.user.email).status_code == 303
    assert password_hash(stranger.user.email) == before
    assert stranger.client.get("/").status_code == 200


def test_other_tokens_are_refused(app: Flask, browser: Browser, inbox: Inbox) -> None:
    app_settings.use(
        app_settings.current().replace(smtp_url=None, base_url="http://127.0.0.1:8000")
    )
    invitation = invite(browser, "bob@acme.test").rpartition("/")[2]
    cookie = browser.client.get_cookie("session")
    assert cookie is not None
    before = password_hash()
    for token in (invitation, cookie.value, "x", "%00", "é", "x" * 4000):
        assert choose(app, f"/auth/password/{token}").status_code == 404, token
    assert password_hash() == before


@pytest.mark.parametrize("change", ["password", "reset", "factor", "disabled", "suspended"])
def test_link_ends_when_the_sign_in_of_its_user_changes(
    app: Flask, browser: Browser, inbox: Inbox, change: str
) -> None:
    path = link(app, inbox)
    if change == "password":
        browser.post("/settings/security/password", current=PASSWORD, password=NEW, again=NEW)
    elif change == "reset":
        users.reset_password(ANN, NEW, actor="user:operator")
    elif change == "factor":
        turn_on(browser)
    elif change == "disabled":
        users.disable(ANN, actor="user:operator")
    else:
        accounts.suspend(ids.public("acc", browser.account_id), actor="user:operator")
    before = password_hash()
    assert choose(app, path, "an altogether different horse").status_code == 404
    assert password_hash() == before


def test_weak_password_is_refused_and_the_link_stays_valid(
    app: Flask, signed_out: Browser, inbox: Inbox
) -> None:
    path = link(app, inbox)
    for password in ("", "short", "sunshine2026", "x" * 201):
        assert choose(app, path, password).status_code == 400
    assert choose(app, path).status_code == 303


def test_parallel_uses_of_a_link_succeed_once(
    app: Flask, signed_out: Browser, inbox: Inbox
) -> None:
    token = link(app, inbox).rpartition("/")[2]

    def use(number: int) -> bool:
        try:
            password_resets.use(token, f"an entirely other horse {number}")
        except NotFound:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(use, range(4))) == 1


def test_only_the_digest_of_the_token_is_stored(
    app: Flask, signed_out: Browser, inbox: Inbox
) -> None:
    token = link(app, inbox).rpartition("/")[2]
    (row,) = rows()
    assert row.digest is not None
    assert token.encode() not in row.digest
    assert row.email is None
    with transaction(readonly=True) as session:
        assert not any(token in body for body in session.scalars(select(Email.body)))


def test_requests_for_one_address_are_limited_over_all_networks(
    app: Flask, signed_out: Browser, inbox: Inbox
) -> None:
    for email in (ANN, "unknown@other.test"):
        statuses = [
            request_link(app, f" {email.upper()} ", f"192.0.2.{number}").status_code
            for number in range(RESETS_BY_EMAIL.free + 1)
        ]
        assert statuses == [303] * RESETS_BY_EMAIL.free + [429]


def test_requests_of_one_network_are_limited(app: Flask, signed_out: Browser, inbox: Inbox) -> None:
    for number in range(RESETS_BY_NETWORK.free):
        assert request_link(app, f"p{number}@other.test").status_code == 303
    response = request_link(app)
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 3000
    assert "Too many attempts" in response.text
    assert request_link(app, address="198.51.100.1").status_code == 303
    assert sign_in(app, PASSWORD).status_code == 303


@pytest.mark.parametrize("email", ["", "x" * 255])
def test_invalid_address_is_refused(app: Flask, inbox: Inbox, email: str) -> None:
    assert request_link(app, email).status_code == 400
    assert rows() == []


def test_without_a_mail_server_the_page_says_what_to_ask_for(
    app: Flask, signed_out: Browser
) -> None:
    for response in (app.test_client().get("/auth/password"), request_link(app)):
        assert response.status_code == 200
        assert "users reset-password" in response.text
        assert "<form" not in response.text
    assert rows() == []


def test_request_that_redis_has_lost_is_enqueued_again(
    app: Flask, signed_out: Browser, inbox: Inbox, redis_url: str
) -> None:
    assert password_resets.enqueue_if_due() is False
    request_link(app)
    assert password_resets.enqueue_if_due() is True
    password_resets.send_requested()
    assert password_resets.enqueue_if_due() is False


def test_enabled_user_gets_no_earlier_link_back(
    app: Flask, signed_out: Browser, inbox: Inbox
) -> None:
    path = link(app, inbox)
    users.disable(ANN, actor="user:operator")
    users.enable(ANN, actor="user:operator")
    assert choose(app, path).status_code == 404

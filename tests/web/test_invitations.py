"""Invitations: emailed to the invited user, and limited by the inviter's role."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select, update

from app import ids
from app import settings as app_settings
from app.db import transactions
from app.models import AuditEvent, Email, Invitation, User
from app.services.emails import emails
from app.services.people import invitations, people_pages
from app.settings import Settings
from tests.support.dashboard_browser import PASSWORD, Browser, make_browser
from tests.support.people import colleague, invite, user_path
from tests.support.smtp_server import Inbox, open_inbox


@pytest.fixture
def inbox(app: Flask, settings: Settings) -> Iterator[Inbox]:
    """The configured mail server."""
    with open_inbox() as inbox:
        app_settings.use(
            settings.replace(
                smtp_url=inbox.url,
                base_url="https://watch.test",
                mail_from="w@watch.test",
            )
        )
        yield inbox
        app_settings.use(settings)


def link_in(inbox: Inbox) -> str:
    """Send the pending emails; returns the path of the only invitation link in them."""
    emails.send_due()
    (path,) = re.findall(r"https://watch\.test(/auth/invitation/[\w-]+)", "".join(inbox.bodies()))
    return str(path)


def sent_to(inbox: Inbox, email: str) -> list[str]:
    """The bodies of the emails to this address."""
    return [message.get_content() for message in inbox.messages if message["To"] == email]


def accept(app: Flask, path: str) -> int:
    """Open the link without a session and choose a password."""
    return app.test_client().post(path, data={"password": PASSWORD}).status_code


def role_in_account(browser: Browser, email: str) -> str | None:
    members = people_pages.team(browser.account_id).members
    return next((item.user.role for item in members if item.user.email == email), None)


@pytest.mark.parametrize("action", ["role", "remove"])
def test_invitation_link_of_a_former_owner_does_not_work(
    app: Flask, browser: Browser, action: str
) -> None:
    mallory = colleague(app, browser, "owner", "mallory@acme.test")
    path = invite(mallory, "way-back@evil.test", "owner")
    assert app.test_client().get(path).status_code == 200
    browser.post(user_path(mallory, action), role="viewer", confirm="mallory@acme.test")
    assert app.test_client().get(path).status_code == 404
    assert accept(app, path) == 404
    assert role_in_account(browser, "way-back@evil.test") is None
    assert people_pages.team(browser.account_id).invitations == []
    with transactions.transaction(readonly=True) as session:
        changed = "user.role_changed" if action == "role" else "user.removed"
        details = session.scalars(
            select(AuditEvent.details).where(AuditEvent.action == changed)
        ).one()
    assert details["deletedInvitations"] == 1


@pytest.mark.parametrize(
    ("inviter", "invited", "status"),
    [
        ("owner", "owner", 303),
        ("admin", "owner", 404),
        ("admin", "admin", 303),
        ("admin", "viewer", 303),
        ("member", "viewer", 404),
        ("viewer", "viewer", 404),
    ],
)
def test_role_of_the_inviter_is_checked_on_acceptance(
    app: Flask, browser: Browser, inviter: str, invited: str, status: int
) -> None:
    """Even if the invitation's row still exists after the demotion."""
    other = colleague(app, browser, "owner", "other@acme.test")
    path = invite(other, "bob@acme.test", invited)
    with transactions.transaction() as session:
        session.execute(update(User).where(User.id == other.user.id).values(role=inviter))
    assert accept(app, path) == status


def test_promotion_keeps_the_invitations_of_the_user(app: Flask, browser: Browser) -> None:
    admin = colleague(app, browser, "admin")
    path = invite(admin, "bob@acme.test")
    browser.post(user_path(admin, "role"), role="owner")
    assert accept(app, path) == 303


def test_unknown_invitation_cannot_be_accepted(app: Flask, browser: Browser) -> None:
    path = invite(browser, "bob@acme.test")
    with transactions.transaction() as session:
        session.execute(update(Invitation).values(inviter_id=None))
    assert accept(app, path) == 404


def test_invitation_link_is_sent_to_the_invited_user_only(
    app: Flask, browser: Browser, inbox: Inbox
) -> None:
    page = browser.submit("/settings/team", email=" Bob@Acme.test ", role="member")
    assert "/auth/invitation/" not in page
    assert "An invitation was sent to bob@acme.test" in page
    path = link_in(inbox)
    (invitation,) = sent_to(inbox, "bob@acme.test")
    assert path in invitation
    assert "bob@acme.test" in app.test_client().get(path).text
    assert app.test_client().post(path, data={"password": "short"}).status_code == 400
    assert accept(app, path) == 303
    form = {"email": "bob@acme.test", "password": PASSWORD}
    assert app.test_client().post("/auth/login", data=form).status_code == 303
    assert app.test_client().get(path).status_code == 404


def test_response_does_not_reveal_users_of_other_accounts(
    browser: Browser, stranger: Browser, inbox: Inbox
) -> None:
    answers = []
    for email in (stranger.user.email, "new@other.test"):
        page = browser.submit("/settings/team", email=email, role="member")
        page = re.sub(r"inv_\w+", "inv", page.replace(email, "EMAIL"))
        answers.append(re.sub(r"just now|[0-9:.+T-]{19,}|value=\"[0-9a-f]{32}[\w.-]*\"", "", page))
        for row in people_pages.team(browser.account_id).invitations:
            browser.post(f"/settings/team/invitations/{ids.public('inv', row.id)}/withdraw")
    assert answers[0] == answers[1]
    emails.send_due()
    (to_user,), (to_new,) = sent_to(inbox, stranger.user.email), sent_to(inbox, "new@other.test")
    assert "already has a user in another account" in to_user
    assert "/auth/invitation/" not in to_user
    assert "/auth/invitation/" in to_new


def test_without_a_mail_server_the_link_is_shown_with_a_warning(
    app: Flask, browser: Browser, stranger: Browser
) -> None:
    page = browser.submit("/settings/team", email=stranger.user.email, role="member")
    assert "mailwatch can't send email" in page
    path = invite(browser, stranger.user.email)
    answer = app.test_client().post(path, data={"password": PASSWORD})
    assert answer.status_code == 409
    assert "another account" not in answer.text
    assert role_in_account(browser, stranger.user.email) is None


def test_invitation_link_reports_a_user_in_another_account(
    app: Flask, browser: Browser, inbox: Inbox
) -> None:
    browser.post("/settings/team", email="bob@acme.test", role="member")
    path = link_in(inbox)
    make_browser(app, "bob@acme.test")
    answer = app.test_client().post(path, data={"password": PASSWORD})
    assert answer.status_code == 409
    assert "already has a user in another account" in answer.text


def test_the_link_is_shown_once_and_only_its_digest_is_stored(
    browser: Browser, inbox: Inbox
) -> None:
    browser.post("/settings/team", email="bob@acme.test", role="member")
    token = link_in(inbox).rpartition("/")[2]
    assert token not in browser.get("/settings/team")
    with transactions.transaction(readonly=True) as session:
        row = session.scalars(select(Invitation)).one()
        bodies = session.scalars(select(Email.body)).all()
    assert token.encode() not in row.digest
    assert not any(token in body for body in bodies)


def test_invitation_expires_and_ends_when_revoked_or_replaced(app: Flask, browser: Browser) -> None:
    first = invite(browser, "bob@acme.test")
    second = invite(browser, "bob@acme.test")
    guest = app.test_client()
    assert (guest.get(first).status_code, guest.get(second).status_code) == (404, 200)
    with transactions.transaction() as session:
        session.scalars(select(Invitation)).one().expires_at -= invitations.LIFETIME
    assert guest.post(second, data={"password": PASSWORD}).status_code == 404
    third = invite(browser, "bob@acme.test")
    match = re.search(
        r"/settings/team/invitations/(inv_\w+)/withdraw", browser.get("/settings/team")
    )
    assert match is not None
    assert browser.post(f"/settings/team/invitations/{match[1]}/withdraw").status_code == 303
    assert guest.get(third).status_code == 404


def test_invitations_to_one_address_are_limited(browser: Browser) -> None:
    for _ in range(invitations.MAX_PER_ADDRESS):
        invite(browser, "bob@acme.test")
    response = browser.post("/settings/team", email="bob@acme.test", role="member")
    assert response.status_code == 400
    assert "Try again tomorrow" in response.text
    invite(browser, "carol@acme.test")


def test_invitations_of_an_account_are_limited_per_day(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitations, "MAX_PER_DAY", 2)
    for number in range(2):
        invite(browser, f"p{number}@acme.test")
    response = browser.post("/settings/team", email="p3@acme.test", role="member")
    assert "at most 2 invitations a day" in response.text


@pytest.mark.parametrize(
    ("email", "role", "status"),
    [
        ("unknown", "member", 400),
        ("a,b@acme.test", "member", 400),
        ("<a@acme.test>", "member", 400),
        ("a b@acme.test", "member", 400),
        ("bob@acme.test", "king", 400),
        ("bob@acme.test", "", 400),
        ("ann@acme.test", "member", 409),
    ],
)
def test_invalid_invitation_is_refused(
    browser: Browser, email: str, role: str, status: int
) -> None:
    assert browser.post("/settings/team", email=email, role=role).status_code == status
    assert people_pages.team(browser.account_id).invitations == []

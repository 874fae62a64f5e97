"""The people of an account: invited by a link, given a role, removed."""

import re

import pytest
from flask import Flask
from sqlalchemy import select

from app import db, ids
from app.models import Invitation
from app.services import accounts, team
from tests.web.conftest import PASSWORD, Browser, make_browser


def invite(browser: Browser, email: str, role: str = "member") -> str:
    """The path of the link."""
    response = browser.post("/settings/team", email=email, role=role)
    assert response.status_code == 201, response.text
    found = re.search(r"http://127\.0\.0\.1:8000(/auth/invitation/[\w-]+)", response.text)
    assert found is not None
    return found[1]


def colleague(app: Flask, browser: Browser, role: str, email: str | None = None) -> Browser:
    """Somebody else of the same account, signed in."""
    account = accounts.find(ids.public("acc", browser.account_id))
    made = make_browser(app, email or f"{role}@acme.test", role=role, account=account)
    made.sign_in()
    return made


def user_path(browser: Browser, act: str) -> str:
    return f"/settings/team/{ids.public('usr', browser.user.id)}/{act}"


def role_of(browser: Browser) -> str:
    members = team.members(browser.account_id)
    return next(member.role for member in members if member.id == browser.user.id)


def test_whoever_has_the_link_joins_with_a_password_of_their_own(
    app: Flask, browser: Browser
) -> None:
    path = invite(browser, " Bob@Acme.test ")
    guest = app.test_client()
    assert "bob@acme.test" in guest.get(path).text
    assert guest.post(path, data={"password": "short"}).status_code == 400
    assert guest.post(path, data={"password": PASSWORD}).status_code == 200
    form = {"email": "bob@acme.test", "password": PASSWORD}
    assert guest.post("/auth/login", data=form).status_code == 303
    assert "bob@acme.test" in browser.get("/settings/team")
    assert guest.get(path).status_code == 404


def test_the_link_is_shown_once_and_only_its_digest_is_kept(browser: Browser) -> None:
    path = invite(browser, "bob@acme.test")
    token = path.rpartition("/")[2]
    assert token not in browser.get("/settings/team")
    with db.transaction(readonly=True) as session:
        row = session.scalars(select(Invitation)).one()
    assert token.encode() not in row.digest


def test_a_link_ends_after_a_week_when_withdrawn_and_when_another_is_made(
    app: Flask, browser: Browser
) -> None:
    first = invite(browser, "bob@acme.test")
    second = invite(browser, "bob@acme.test")
    guest = app.test_client()
    assert (guest.get(first).status_code, guest.get(second).status_code) == (404, 200)
    with db.transaction() as session:
        session.scalars(select(Invitation)).one().expires_at -= team.INVITATION
    assert guest.post(second, data={"password": PASSWORD}).status_code == 404
    third = invite(browser, "bob@acme.test")
    found = re.search(
        r"/settings/team/invitations/(inv_\w+)/withdraw", browser.get("/settings/team")
    )
    assert found is not None
    assert browser.post(f"/settings/team/invitations/{found[1]}/withdraw").status_code == 303
    assert guest.get(third).status_code == 404


def test_an_invitation_tells_nothing_about_other_accounts(
    app: Flask, browser: Browser, stranger: Browser
) -> None:
    path = invite(browser, stranger.user.email)
    response = app.test_client().post(path, data={"password": PASSWORD})
    assert response.status_code == 409
    assert {member.email for member in team.members(browser.account_id)} == {browser.user.email}


@pytest.mark.parametrize(
    ("email", "role", "status"),
    [
        ("nobody", "member", 400),
        ("bob@acme.test", "king", 400),
        ("bob@acme.test", "", 400),
        ("ann@acme.test", "member", 409),
    ],
)
def test_who_cannot_be_invited_is_not(browser: Browser, email: str, role: str, status: int) -> None:
    assert browser.post("/settings/team", email=email, role=role).status_code == status
    assert team.invitations(browser.account_id) == []


def test_an_admin_neither_makes_nor_touches_owners(app: Flask, browser: Browser) -> None:
    admin = colleague(app, browser, "admin")
    member = colleague(app, browser, "member")
    assert admin.post("/settings/team", email="x@acme.test", role="owner").status_code == 400
    assert admin.post(user_path(member, "role"), role="owner").status_code == 400
    assert admin.post(user_path(browser, "role"), role="viewer").status_code == 400
    assert admin.post(user_path(browser, "remove")).status_code == 400
    assert (role_of(browser), role_of(member)) == ("owner", "member")
    assert admin.post(user_path(member, "role"), role="admin").status_code == 303
    assert role_of(member) == "admin"


def test_the_last_owner_stays_one(app: Flask, browser: Browser) -> None:
    assert browser.post(user_path(browser, "role"), role="member").status_code == 409
    assert browser.post(user_path(browser, "remove")).status_code == 409
    other = colleague(app, browser, "owner")
    assert browser.post(user_path(other, "role"), role="member").status_code == 303
    assert role_of(browser) == "owner"


def test_a_role_holds_from_the_next_page_on(app: Flask, browser: Browser) -> None:
    member = colleague(app, browser, "member")
    assert member.post("/domains", name="acme.test", usage="sends-only").status_code == 303
    browser.post(user_path(member, "role"), role="viewer")
    assert member.post("/domains", name="b.test", usage="sends-only").status_code == 403


def test_whoever_is_removed_is_out_at_once(app: Flask, browser: Browser) -> None:
    member = colleague(app, browser, "member")
    assert browser.post(user_path(member, "remove")).status_code == 303
    assert member.client.get("/domains").status_code == 303
    assert member.sign_in().status_code == 400
    assert "user.removed" in browser.get("/settings/audit")


def test_people_of_another_account_are_as_if_unknown(browser: Browser, stranger: Browser) -> None:
    invite(browser, "bob@acme.test")
    row = team.invitations(browser.account_id)[0]
    for path in (
        user_path(browser, "remove"),
        user_path(browser, "role"),
        f"/settings/team/invitations/{ids.public('inv', row.id)}/withdraw",
        "/settings/team/x/remove",
    ):
        assert stranger.post(path, role="member").status_code == 404, path
    assert "bob@acme.test" not in stranger.get("/settings/team")

"""The people of an account: given a role, removed, and the API keys that they leave."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app import ids
from app.db import transactions
from app.errors import InvalidRequest, NotFound
from app.models import AuditEvent
from app.models.keys import Scope
from app.services.accounts import invitations, sessions
from app.services.accounts import members as accounts_members
from app.services.api_keys import api_keys
from tests.factories import make_key
from tests.web.conftest import Browser
from tests.web.people import colleague, invite, user_path


def role_of(browser: Browser) -> str:
    members = accounts_members.members(browser.account_id)
    return next(member.role for member in members if member.id == browser.user.id)


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
    row = invitations.pending(browser.account_id)[0]
    for path in (
        user_path(browser, "remove"),
        user_path(browser, "role"),
        f"/settings/team/invitations/{ids.public('inv', row.id)}/withdraw",
        "/settings/team/x/remove",
    ):
        assert stranger.post(path, role="member").status_code == 404, path
    assert "bob@acme.test" not in stranger.get("/settings/team")


def make_keys(member: Browser, *names: str) -> list[str]:
    """Make keys as this person; their ids."""
    made = [
        api_keys.issue(
            member.account_id,
            api_keys.NewKey(name, (Scope.DOMAINS_READ,)),
            actor=f"user:{member.user.email}",
        )
        for name in names
    ]
    return [key.key_id for key, _ in made]


def details_of(action: str) -> dict[str, Any]:
    with transactions.transaction(readonly=True) as session:
        statement = select(AuditEvent.details).where(AuditEvent.action == action)
        details: dict[str, Any] = session.scalars(statement).one()
        return details


def test_the_keys_of_a_removed_person_are_listed_and_revoked_with_one_button(
    app: Flask, browser: Browser
) -> None:
    member = colleague(app, browser, "admin")
    key_ids = make_keys(member, "ci", "deploy")
    own, _ = make_key(browser.account_id)
    assert "ci, deploy" in browser.get("/settings/team")
    browser.post(user_path(member, "remove"))
    assert details_of("user.removed")["activeKeys"] == key_ids
    page = browser.get("/settings/team")
    assert "Revoke all 2 API keys" in page
    creator = api_keys.search(browser.account_id)[-1].created_by
    assert f'name="creator" value="{creator}"' in page
    assert browser.post("/settings/team/api-keys/revoke", creator=creator).status_code == 303
    revoked = {key.key_id for key in api_keys.search(browser.account_id) if key.revoked_at}
    assert revoked == set(key_ids)
    assert own.key_id not in revoked
    assert "still valid" not in browser.get("/settings/team")
    with transactions.transaction(readonly=True) as session:
        reasons = session.scalars(
            select(AuditEvent.details).where(AuditEvent.action == "key.revoked")
        ).all()
    assert [row["reason"] for row in reasons] == ["its creator was removed"] * 2


def test_the_keys_of_members_and_of_other_accounts_cannot_be_revoked_this_way(
    app: Flask, browser: Browser, stranger: Browser
) -> None:
    make_keys(browser, "ci")
    path, creator = "/settings/team/api-keys/revoke", f"user:{browser.user.email}"
    assert browser.post(path, creator=creator).status_code == 400
    assert stranger.post(path, creator=creator).status_code == 404
    assert browser.post(path, creator="user:operator").status_code == 404
    assert all(key.revoked_at is None for key in api_keys.search(browser.account_id))


def test_a_person_who_was_demoted_meanwhile_changes_nothing(app: Flask, browser: Browser) -> None:
    """The role counts that the person has in the transaction, not when the page was opened."""
    admin, member = colleague(app, browser, "admin"), colleague(app, browser, "member")
    cookie = admin.client.get_cookie("session")
    assert cookie is not None
    stale = sessions.find(cookie.value)
    assert stale is not None
    browser.post(user_path(admin, "role"), role="viewer")
    with pytest.raises(InvalidRequest):
        accounts_members.remove(stale, member.user.id)
    with pytest.raises(InvalidRequest):
        invitations.create(stale, "x@acme.test", "viewer")
    browser.post(user_path(admin, "remove"))
    with pytest.raises(NotFound):
        accounts_members.change_role(stale, member.user.id, "viewer")

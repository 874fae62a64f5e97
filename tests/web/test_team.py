"""The team page: roles, removal of users, and the API keys of former members."""

import pytest
from flask import Flask
from sqlalchemy import select

from app import ids
from app.db import transactions
from app.errors import InvalidRequest, NotFound
from app.models import AuditEvent
from app.models.keys import Scope
from app.models.stored_json import AuditDetails
from app.services.api_keys import api_keys
from app.services.people import invitations, people_pages
from app.services.people import members as account_members
from app.services.sign_in import sessions
from tests.support.dashboard_browser import Browser
from tests.support.factories import make_key
from tests.support.people import colleague, invite, user_path


def role_of(browser: Browser) -> str:
    members = people_pages.team(browser.account_id).members
    return next(item.user.role for item in members if item.user.id == browser.user.id)


def test_admin_cannot_create_or_change_owners(app: Flask, browser: Browser) -> None:
    admin = colleague(app, browser, "admin")
    member = colleague(app, browser, "member")
    assert admin.post("/settings/team", email="x@acme.test", role="owner").status_code == 400
    assert admin.post(user_path(member, "role"), role="owner").status_code == 400
    assert admin.post(user_path(browser, "role"), role="viewer").status_code == 400
    assert admin.post(user_path(browser, "remove"), confirm=browser.user.email).status_code == 400
    assert (role_of(browser), role_of(member)) == ("owner", "member")
    assert admin.post(user_path(member, "role"), role="admin").status_code == 303
    assert role_of(member) == "admin"


def test_last_owner_cannot_be_demoted_or_removed(app: Flask, browser: Browser) -> None:
    assert browser.post(user_path(browser, "role"), role="member").status_code == 409
    assert browser.post(user_path(browser, "remove"), confirm=browser.user.email).status_code == 409
    other = colleague(app, browser, "owner")
    assert browser.post(user_path(other, "role"), role="member").status_code == 303
    assert role_of(browser) == "owner"


def test_role_change_applies_to_the_next_request(app: Flask, browser: Browser) -> None:
    member = colleague(app, browser, "member")
    assert member.post("/domains", name="acme.test", usage="sends-only").status_code == 303
    browser.post(user_path(member, "role"), role="viewer")
    assert member.post("/domains", name="b.test", usage="sends-only").status_code == 403


def test_removed_user_is_signed_out_immediately(app: Flask, browser: Browser) -> None:
    member = colleague(app, browser, "member")
    assert browser.post(user_path(member, "remove"), confirm=member.user.email).status_code == 303
    assert member.client.get("/domains").status_code == 303
    assert member.sign_in().status_code == 400
    assert "user.removed" in browser.get("/settings/audit")


def test_users_of_another_account_are_not_found(browser: Browser, stranger: Browser) -> None:
    invite(browser, "bob@acme.test")
    row = people_pages.team(browser.account_id).invitations[0]
    for path in (
        user_path(browser, "remove"),
        user_path(browser, "role"),
        f"/settings/team/invitations/{ids.public('inv', row.id)}/withdraw",
        "/settings/team/x/remove",
    ):
        assert stranger.post(path, role="member").status_code == 404, path
    assert "bob@acme.test" not in stranger.get("/settings/team")


def make_keys(member: Browser, *names: str) -> list[str]:
    """Create keys as this user; returns their ids."""
    made = [
        api_keys.issue(
            member.account_id,
            api_keys.NewKey(name, (Scope.DOMAINS_READ,)),
            actor=f"user:{member.user.email}",
        )
        for name in names
    ]
    return [key.key_id for key, _ in made]


def details_of(action: str) -> AuditDetails:
    with transactions.transaction(readonly=True) as session:
        statement = select(AuditEvent.details).where(AuditEvent.action == action)
        return session.scalars(statement).one()


def test_api_keys_of_a_removed_user_are_listed_and_revoked_together(
    app: Flask, browser: Browser
) -> None:
    member = colleague(app, browser, "admin")
    key_ids = make_keys(member, "ci", "deploy")
    own, _ = make_key(browser.account_id)
    assert "ci, deploy" in browser.get("/settings/team")
    browser.post(user_path(member, "remove"), confirm=member.user.email)
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


def test_only_keys_of_former_members_of_the_account_can_be_revoked_together(
    app: Flask, browser: Browser, stranger: Browser
) -> None:
    make_keys(browser, "ci")
    path, creator = "/settings/team/api-keys/revoke", f"user:{browser.user.email}"
    assert browser.post(path, creator=creator).status_code == 400
    assert stranger.post(path, creator=creator).status_code == 404
    assert browser.post(path, creator="user:operator").status_code == 404
    assert all(key.revoked_at is None for key in api_keys.search(browser.account_id))


def test_user_demoted_during_a_request_changes_nothing(app: Flask, browser: Browser) -> None:
    """The role is checked in the transaction, not when the page was opened."""
    admin, member = colleague(app, browser, "admin"), colleague(app, browser, "member")
    cookie = admin.client.get_cookie("session")
    assert cookie is not None
    stale = sessions.find(cookie.value)
    assert stale is not None
    browser.post(user_path(admin, "role"), role="viewer")
    with pytest.raises(InvalidRequest):
        account_members.remove(stale, member.user.id)
    with pytest.raises(InvalidRequest):
        invitations.create(stale, "x@acme.test", "viewer")
    browser.post(user_path(admin, "remove"), confirm=admin.user.email)
    with pytest.raises(NotFound):
        account_members.change_role(stale, member.user.id, "viewer")

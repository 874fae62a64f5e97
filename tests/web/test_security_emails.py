"""Emails about changes of sign-in, role and account."""

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from app import settings as app_settings
from app.db import transactions
from app.models import Email, SignInNetwork
from app.services.api_keys import api_keys
from app.services.emails import emails
from app.services.operations import retention
from app.services.sign_in import credentials, sign_in_networks
from app.settings import Settings
from tests.support.dashboard_browser import PASSWORD, Browser, make_browser
from tests.support.people import NEW, code_of, colleague, turn_on, user_path
from tests.support.smtp_server import Inbox, open_inbox

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HOME, AWAY = "192.0.2.7", "198.51.100.9"


@pytest.fixture
def inbox(app: Flask, settings: Settings) -> Iterator[Inbox]:
    """The configured mail server."""
    with open_inbox() as inbox:
        app_settings.use(settings.replace(smtp_url=inbox.url, base_url="https://watch.test"))
        yield inbox
        app_settings.use(settings)


def received(inbox: Inbox) -> dict[str, list[str]]:
    """Send the pending emails; returns their subjects by recipient, in order of arrival."""
    before = len(inbox.messages)
    emails.send_due()
    subjects: dict[str, list[str]] = {}
    for message in inbox.messages[before:]:
        subjects.setdefault(message["To"], []).append(message["Subject"])
    return subjects


def sign_in_from(browser: Browser, address: str) -> None:
    environ = {"REMOTE_ADDR": address}
    response = browser.sign_in(environ_overrides=environ, headers={"User-Agent": FIREFOX})
    assert response.status_code == 303


def test_a_sign_in_from_a_new_network_is_emailed_and_others_are_not(
    signed_out: Browser, inbox: Inbox
) -> None:
    for address in (HOME, HOME, "192.0.2.200"):
        sign_in_from(signed_out, address)
    assert received(inbox) == {}
    sign_in_from(signed_out, AWAY)
    sign_in_from(signed_out, AWAY)
    assert received(inbox) == {"ann@acme.test": ["New sign-in to mailwatch"]}
    (body,) = inbox.bodies()
    for text in (AWAY, "Firefox on Linux", "https://watch.test/settings/security"):
        assert text in body


def test_the_code_of_two_factor_authentication_completes_a_sign_in(
    browser: Browser, inbox: Inbox
) -> None:
    secret, _ = turn_on(browser)
    received(inbox)
    environ = {"REMOTE_ADDR": AWAY}
    browser.sign_in(environ_overrides=environ)
    assert received(inbox) == {}
    form = {"code": code_of(secret)}
    browser.client.post("/auth/code", data=form, environ_overrides=environ)
    assert received(inbox) == {"ann@acme.test": ["New sign-in to mailwatch"]}


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        (None, None),
        ("unknown", None),
    ],
)
def test_networks_are_compared_by_prefix(address: str | None, network: str | None) -> None:
    assert sign_in_networks.network_of(address) == network


def test_networks_without_a_sign_in_for_long_are_forgotten(signed_out: Browser) -> None:
    sign_in_from(signed_out, HOME)
    sign_in_from(signed_out, AWAY)
    with transactions.transaction() as session:
        row = session.get_one(SignInNetwork, (signed_out.user.id, "192.0.2.0/24"))
        row.last_seen_at -= sign_in_networks.RETENTION
    retention.run()
    with transactions.transaction(readonly=True) as session:
        networks = session.scalars(select(SignInNetwork.network)).all()
    assert networks == ["198.51.100.0/24"]


def test_every_change_of_a_credential_is_emailed_to_the_person(
    browser: Browser, inbox: Inbox
) -> None:
    turn_on(browser)
    browser.post("/settings/security/recovery-codes", current=PASSWORD)
    browser.post("/settings/security/second-factor/off", current=PASSWORD)
    form = {"current": PASSWORD, "password": NEW, "again": NEW}
    browser.post("/settings/security/password", **form)
    assert received(inbox) == {
        "ann@acme.test": [
            "Two-factor authentication was turned on",
            "Your recovery codes were replaced",
            "Two-factor authentication was turned off",
            "Your password was changed",
        ]
    }
    assert not any(secret in body for body in inbox.bodies() for secret in (PASSWORD, NEW))


def test_a_reset_by_an_operator_is_emailed(browser: Browser, inbox: Inbox) -> None:
    turn_on(browser)
    received(inbox)
    credentials.reset_second_factor("ann@acme.test", actor="user:operator")
    assert received(inbox) == {"ann@acme.test": ["Two-factor authentication was reset"]}
    assert "an operator of this service" in inbox.bodies()[-1]


def test_a_change_that_fails_is_not_emailed(browser: Browser, inbox: Inbox) -> None:
    browser.post("/settings/security/password", current="wrong", password=NEW, again=NEW)
    browser.post("/settings/security/second-factor/off", current="wrong")
    browser.post("/settings/security/recovery-codes", current=PASSWORD)  # it is off
    assert received(inbox) == {}


def test_changes_of_roles_and_removals_are_emailed_to_the_person_and_the_owners(
    app: Flask, browser: Browser, inbox: Inbox
) -> None:
    member = colleague(app, browser, "member")
    browser.post(user_path(member, "role"), role="admin")
    subject = "A role in your account was changed"
    assert received(inbox) == {"member@acme.test": [subject], "ann@acme.test": [subject]}
    browser.post(user_path(member, "remove"), confirm=member.user.email)
    subject = "A person was removed from your account"
    assert received(inbox) == {"member@acme.test": [subject], "ann@acme.test": [subject]}
    assert "member@acme.test can no longer sign in" in inbox.bodies()[-1]


def test_invitations_are_emailed_to_the_inviter_and_the_owners(
    app: Flask, browser: Browser, inbox: Inbox
) -> None:
    admin = colleague(app, browser, "admin")
    admin.post("/settings/team", email="bob@acme.test", role="viewer")
    subjects = received(inbox)
    assert subjects.pop("bob@acme.test") != []
    created = ["An invitation to your account was created"]
    assert subjects == {"admin@acme.test": created, "ann@acme.test": created}
    body = next(body for body in inbox.bodies() if "/auth/invitation/" in body)
    path = body.partition("https://watch.test")[2].split()[0]
    app.test_client().post(path, data={"password": PASSWORD})
    accepted = ["An invitation to your account was accepted"]
    assert received(inbox) == {"admin@acme.test": accepted, "ann@acme.test": accepted}


def test_keys_are_emailed_to_their_creator_and_the_owners(
    app: Flask, browser: Browser, inbox: Inbox
) -> None:
    admin = colleague(app, browser, "admin")
    form = {"name": "ci", "scopes": "domains:read"}
    assert admin.post("/settings/keys", **form).status_code == 303
    created = ["API key ci created"]
    assert received(inbox) == {"admin@acme.test": created, "ann@acme.test": created}
    (key,) = api_keys.search(browser.account_id)
    assert all(key.key_id in body and "mp_" not in body for body in inbox.bodies())
    browser.post(f"/settings/keys/{key.key_id}/rotate", grace="0")
    browser.post(f"/settings/keys/{key.key_id}/revoke", confirm=key.name)
    subjects = received(inbox)
    assert subjects["admin@acme.test"] == ["API key ci rotated", "API key ci revoked"]
    assert subjects["ann@acme.test"] == ["API key ci rotated", "API key ci revoked"]


def test_other_accounts_get_no_security_emails(
    app: Flask, browser: Browser, stranger: Browser, inbox: Inbox
) -> None:
    make_browser(app, "zed@other.test")
    browser.post("/settings/keys", name="ci", scopes="domains:read")
    browser.post("/settings/security/recovery-codes", current=PASSWORD)
    with transactions.transaction(readonly=True) as session:
        accounts = set(session.scalars(select(Email.account_id)).all())
    assert accounts == {browser.account_id}
    assert set(received(inbox)) == {"ann@acme.test"}

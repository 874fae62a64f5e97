"""A viewer sees no addresses of others, no full webhook URLs and no secrets."""

import pytest
from flask import Flask, g
from sqlalchemy import select

from app import ids
from app.db.transactions import transaction
from app.models import Account, AuditEvent, Channel
from app.models.keys import Scope
from app.services.api_keys import api_keys, usage
from app.services.core.privacy import public_actor
from app.services.people import invitations
from app.services.sign_in.sessions import UserSession
from app.web.base.privacy import private
from tests.support.dashboard_browser import Browser, make_browser

ANN, IP = "ann@acme.test", "198.51.100.23"
URL = "https://hooks.acme.test/services/T0/B0/secret?token=abc"


@pytest.fixture
def viewer(app: Flask, browser: Browser) -> Browser:
    """A viewer in the account of ``browser``, with data of each kind."""
    account_id = browser.account_id
    with transaction(readonly=True) as session:
        account = session.get_one(Account, account_id)
    made = make_browser(app, "vic@acme.test", role="viewer", account=account)
    made.sign_in()
    key, _ = api_keys.issue(account_id, api_keys.NewKey("CI", list(Scope)), actor=f"user:{ANN}")
    usage.record(key.id, "GET /v1/me", 200, IP)
    usage.flush()
    owner = UserSession(
        user_id=browser.user.id,
        email=ANN,
        role="owner",
        account_id=account_id,
        account_name=account.name,
    )
    invitations.create(owner, "new@acme.test", "member")
    with transaction() as session:
        for kind, target in (("webhook", URL), ("email", "sec@acme.test,ops@acme.test")):
            channel = Channel(
                account_id=account_id,
                name=kind,
                kind=kind,
                target=target,
                created_by=f"user:{ANN}",
            )
            session.add(channel)
        session.add(
            AuditEvent(
                account_id=account_id,
                actor=f"user:{ANN}",
                action="channel.created",
                target=URL,
                details={"to": ["sec@acme.test"], "from": IP},
                address=IP,
            )
        )
    return made


def pages(browser: Browser) -> str:
    """The text of every page that shows users, keys or channels."""
    texts = [
        browser.get(path)
        for path in (
            "/settings/audit",
            "/settings/team",
            "/settings/notifications",
            "/settings/keys",
        )
    ]
    with transaction(readonly=True) as session:
        channels = session.scalars(select(Channel.id)).all()
        key = api_keys.search(browser.account_id)[0]
    texts += [browser.get(f"/settings/notifications/{ids.public('chan', id)}") for id in channels]
    texts.append(browser.get(f"/settings/keys/{key.key_id}"))
    return "\n".join(texts)


SECRETS = (ANN, IP, "/services/T0", "secret?token", "sec@acme.test", "ops@", "new@acme.test")


def test_viewer_sees_no_addresses_of_others(viewer: Browser) -> None:
    text = pages(viewer)
    assert [secret for secret in SECRETS if secret in text] == []
    assert "vic@acme.test" in text
    assert "https://hooks.acme.test/…" in text
    assert "a…@acme.test" in text


def test_member_sees_the_addresses_of_others(browser: Browser, viewer: Browser) -> None:
    text = pages(browser)
    assert [secret for secret in SECRETS if secret not in text] == []


def test_viewer_cannot_search_the_audit_log_by_address(viewer: Browser) -> None:
    for query in ("actor=unknown", "target=nothing"):
        assert "channel.created" in viewer.get(f"/settings/audit?{query}")


def test_actors_in_api_answers_are_masked() -> None:
    assert public_actor("user:ann@acme.test") == "user:a…@acme.test"
    assert public_actor("user:operator") == "user:operator"
    assert public_actor("key:abc") == "key:abc"
    assert public_actor("system") == "system"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("from 192.0.2.1 and 2001:db8::1.", "from hidden and hidden"),
        ("2001:db8::/32, 10.0.0.0/8", "hidden, hidden"),
        ("::1", "hidden"),
        ("at 12:30:05 on 2026-11-29", "at 12:30:05 on 2026-11-29"),
        ("version 3.11.7, key abcdef123456", "version 3.11.7, key abcdef123456"),
        ("dmarc.missing at mail.acme.test", "dmarc.missing at mail.acme.test"),
        ("user:ann@acme.test", "user:a…@acme.test"),
        ("vic@acme.test", "vic@acme.test"),
        ("smtp://u:p@mx.acme.test:25/x?y", "smtp://…"),
        ("slack://token/a/b", "slack://…"),
    ],
)
def test_private_filter_hides_addresses_and_urls(app: Flask, text: str, shown: str) -> None:
    with app.test_request_context():
        g.user = UserSession(
            user_id=ids.new(),
            email="vic@acme.test",
            role="viewer",
            account_id=ids.new(),
            account_name="Acme",
        )
        assert private(text).rstrip(".") == shown

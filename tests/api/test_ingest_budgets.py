"""Junk of unknown senders uses up neither the rate of the account's uploads nor of others."""

from collections import Counter
from uuid import UUID

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app import settings as app_settings
from app.db.transactions import transaction
from app.services.api_keys import upload_tokens
from app.services.ingest import budgets, tokens
from app.settings import Settings
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.report_documents import dmarc_xml

JUNK_POSTS = 605


@pytest.fixture
def account_id(app: Flask) -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test")
    return account.id


@pytest.fixture(autouse=True)
def one_window(app: Flask, settings: Settings) -> None:
    """Limits of a window that does not end during a test."""
    rate, source_rate = "600 per hour", "300 per hour"
    app_settings.use(settings.replace(ingest_rate_limit=rate, ingest_source_rate_limit=source_rate))


def test_own_upload_is_accepted_after_a_flood_of_junk(app: Flask, account_id: UUID) -> None:
    address = tokens.create(account_id, actor=ACTOR).token
    token = upload_tokens.issue(account_id, "mail server", actor=ACTOR)[1]
    client = app.test_client()

    def post(raw: bytes, source: str, *, is_own: bool = False) -> TestResponse:
        return client.post(
            f"/ingest/{address}",
            data=raw,
            headers={"Authorization": f"Bearer {token}"} if is_own else {},
            environ_base={"REMOTE_ADDR": source},
        )

    with transaction() as session:
        budgets.note_authenticated(session, account_id, "192.0.2.1")
    statuses = Counter(
        post(b"junk %d" % number, f"198.51.100.{number % 2}").status_code
        for number in range(JUNK_POSTS)
    )
    assert statuses == {202: 600, 429: 5}
    assert post(b"more junk", "203.0.113.9").status_code == 429
    assert post(dmarc_xml(report_id="known"), "192.0.2.1").status_code == 202
    own = post(dmarc_xml(), "198.51.100.1", is_own=True)
    assert own.status_code == 202
    assert own.headers["X-RateLimit-Remaining"] == "599"


def test_rate_limit_of_one_sender_does_not_affect_others(app: Flask, account_id: UUID) -> None:
    address = tokens.create(account_id, actor=ACTOR).token
    client = app.test_client()
    for number in range(301):
        source = {"REMOTE_ADDR": f"2001:db8::{number:x}"}
        response = client.post(f"/ingest/{address}", data=b"junk %d" % number, environ_base=source)
    assert response.status_code == 429
    other = client.post(
        f"/ingest/{address}", data=dmarc_xml(), environ_base={"REMOTE_ADDR": "203.0.113.9"}
    )
    assert other.status_code == 202

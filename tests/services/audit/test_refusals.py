"""Refusals reach the audit log, once at first and then at each power of ten."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update
from sqlalchemy.engine import Engine

from app import ids
from app.db.transactions import transaction
from app.models import AuditEvent, RefusalCount
from app.models.keys import Scope
from app.services.accounts import accounts
from app.services.api_keys import api_keys, key_tokens
from app.services.audit import refusals
from app.services.audit.refusals import ANONYMOUS, MAX_KINDS, Refusal
from app.services.operations import retention
from tests.support.api_client import make_client
from tests.support.factories import ACTOR, make_account, make_key


def events(action: str) -> list[AuditEvent]:
    refusals.flush()
    with transaction(readonly=True) as session:
        return list(
            session.scalars(
                select(AuditEvent).where(AuditEvent.action == action).order_by(AuditEvent.id)
            )
        )


def call(app: Flask, token: str, **options: Any) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return app.test_client().get("/v1/me", headers=headers, **options).status_code


def test_wrong_secret_of_a_known_key_is_recorded(app: Flask) -> None:
    key, _ = make_key(make_account().id)
    body = f"mp_{key.key_id}{'x' * 32}"
    forged = body + key_tokens.checksum(body)
    assert call(app, forged, environ_base={"REMOTE_ADDR": "2001:db8::9"}) == 401
    (event,) = events("key.refused")
    assert (event.actor, event.target, event.address) == (ANONYMOUS, key.key_id, "2001:db8::/64")
    assert event.details == {"reason": "wrong secret", "count_this_hour": 1}


@pytest.mark.parametrize("reason", ["revoked", "expired", "account suspended"])
def test_use_of_an_inactive_key_is_recorded(app: Flask, reason: str) -> None:
    account = make_account("Acme")
    key, token = make_key(account.id)
    if reason == "revoked":
        api_keys.revoke(account.id, key.key_id, actor=ACTOR)
    elif reason == "expired":
        with transaction() as session:
            session.execute(
                update(type(key)).values(expires_at=datetime.now(UTC) - timedelta(seconds=1))
            )
    else:
        accounts.suspend("Acme")
    assert call(app, token) == 401
    (event,) = events("key.refused")
    assert event.details["reason"] == reason


def test_key_from_a_forbidden_network_is_recorded(app: Flask) -> None:
    _, token = make_key(make_account().id, allow_cidrs=["192.0.2.0/24"])
    assert call(app, token) == 401
    (event,) = events("key.refused")
    assert event.details["reason"] == "address not allowed"


def test_unknown_key_is_not_recorded(app: Flask) -> None:
    for token in ("", "mp_junk", key_tokens.mint()):
        assert call(app, token) == 401
    assert events("key.refused") == []


def test_call_without_the_required_scope_is_recorded(app: Flask) -> None:
    client = make_client(app, make_account().id, (Scope.ALERTS_READ,))
    assert client("GET", "/v1/domains").status_code == 403
    (event,) = events("key.scope_refused")
    assert event.target == "GET /v1/domains"
    assert event.details["reason"] == "missing scope domains:read"


def test_flood_adds_few_events_and_loses_no_count(database: Engine) -> None:
    refusal = Refusal(
        account_id=make_account().id,
        actor=ANONYMOUS,
        action="key.refused",
        target="k",
        reason="wrong secret",
    )
    for _ in range(3):
        for _ in range(500):
            refusals.note(refusal, "192.0.2.1")
        refusals.flush()
    recorded = events("key.refused")
    assert [event.details["count_this_hour"] for event in recorded] == [500, 1000]
    with transaction(readonly=True) as session:
        assert session.scalar(select(RefusalCount.count)) == 1500


def test_junk_from_many_networks_does_not_grow_the_table(database: Engine) -> None:
    account = make_account().id
    refusal = Refusal(
        account_id=account, actor=ANONYMOUS, action="key.refused", target="k", reason="wrong secret"
    )
    for number in range(3 * MAX_KINDS):
        refusals.note(refusal, f"10.0.{number // 256}.{number % 256}")
        if number % 450 == 0:
            refusals.flush()
    assert len(events("key.refused")) <= MAX_KINDS + 4
    with transaction(readonly=True) as session:
        assert session.scalar(select(func.count()).select_from(RefusalCount)) == MAX_KINDS + 1
        assert session.scalar(select(func.sum(RefusalCount.count))) == 3 * MAX_KINDS


def test_refusals_of_a_deleted_account_do_not_stop_the_others(database: Engine) -> None:
    refusals.note(
        Refusal(
            account_id=ids.new(),
            actor=ANONYMOUS,
            action="key.refused",
            target="k",
            reason="wrong secret",
        ),
        "192.0.2.1",
    )
    refusals.note(
        Refusal(
            account_id=make_account().id,
            actor=ANONYMOUS,
            action="key.refused",
            target="k",
            reason="wrong secret",
        ),
        "192.0.2.1",
    )
    assert len(events("key.refused")) == 1


def test_old_counts_are_deleted(database: Engine) -> None:
    account = make_account().id
    for days in (1, 3):
        hour = datetime.now(UTC) - timedelta(days=days)
        with transaction() as session:
            session.add(RefusalCount(account_id=account, hour=hour, key=b"k" * 32, count=1))
    retention.run()
    with transaction(readonly=True) as session:
        assert session.scalar(select(func.count()).select_from(RefusalCount)) == 1

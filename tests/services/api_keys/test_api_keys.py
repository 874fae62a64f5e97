"""API keys: issuing, authentication, rotation and revocation."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app import settings
from app.db.transactions import transaction
from app.errors import InvalidRequest, NotFound
from app.models import ApiKey, AuditEvent
from app.models.keys import Scope
from app.services.accounts import accounts
from app.services.api_keys import api_keys, callers, key_pages, key_tokens, usage
from tests.support.factories import ACTOR, make_account, make_key

pytestmark = pytest.mark.usefixtures("database")

ADDRESS = "192.0.2.1"


def test_key_has_the_documented_format() -> None:
    token = key_tokens.mint()
    assert re.fullmatch(r"mp_[0-9A-Za-z]{50}", token)
    assert token[-6:] == key_tokens.checksum(token[:-6])


def test_valid_key_authenticates_its_caller() -> None:
    account = make_account()
    key, token = make_key(account.id, [Scope.DOMAINS_READ])
    caller = callers.resolve(token, ADDRESS)
    assert caller is not None
    assert (caller.id, caller.account_id, caller.scopes) == (
        key.id,
        account.id,
        frozenset({"domains:read"}),
    )


def test_key_is_not_stored_in_clear_text() -> None:
    key, token = make_key(make_account().id)
    with transaction() as session:
        row = session.scalars(select(ApiKey)).one()
    stored = "".join(str(getattr(row, column.key)) for column in ApiKey.__table__.columns)
    assert token[15:47] not in stored
    assert key.digest not in token.encode()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:-1],
        lambda token: f"{token}x",
        lambda token: token[:-1] + ("a" if token[-1] != "a" else "b"),
        lambda token: token.replace("mp_", "mq_"),
        lambda token: key_tokens.mint(),
        lambda token: token[:20] + "\u0660" + token[21:],
        lambda token: "",
        lambda token: None,
    ],
)
def test_malformed_key_does_not_authenticate(spoil: object) -> None:
    _, token = make_key(make_account().id)
    assert callers.resolve(spoil(token), ADDRESS) is None  # type: ignore[operator]


def test_wrong_secret_of_a_known_key_does_not_authenticate() -> None:
    _, token = make_key(make_account().id)
    body = token[:15] + key_tokens.mint()[15:47]
    assert callers.resolve(body + key_tokens.checksum(body), ADDRESS) is None


def test_revoked_key_stops_working_immediately() -> None:
    account = make_account()
    key, token = make_key(account.id)
    assert callers.resolve(token, ADDRESS)
    api_keys.revoke(account.id, key.key_id, actor=ACTOR)
    assert callers.resolve(token, ADDRESS) is None


def test_calls_with_a_revoked_key_show_in_its_activity() -> None:
    account = make_account()
    key, token = make_key(account.id)
    api_keys.revoke(account.id, key.key_id, actor=ACTOR)
    for _ in range(3):
        assert callers.resolve(token, ADDRESS) is None
    body = token[:15] + key_tokens.mint()[15:47]
    assert callers.resolve(body + key_tokens.checksum(body), ADDRESS) is None
    assert usage.today(key.id) == [("refused: revoked", 401, 3)]
    page = key_pages.find(account.id, key.key_id)
    assert [address.address for address in page.activity.addresses] == [ADDRESS]


def test_expired_key_does_not_authenticate() -> None:
    key, token = make_key(make_account().id, expires_at=datetime.now(UTC) + timedelta(hours=1))
    with transaction() as session:
        over = datetime.now(UTC) - timedelta(seconds=1)
        session.execute(update(ApiKey).where(ApiKey.id == key.id).values(expires_at=over))
    assert callers.resolve(token, ADDRESS) is None


def test_key_of_a_suspended_account_does_not_authenticate() -> None:
    account = make_account()
    _, token = make_key(account.id)
    accounts.suspend(account.name)
    assert callers.resolve(token, ADDRESS) is None


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("192.0.2.9", True), ("198.51.100.1", False), ("2001:db8::1", True), ("nonsense", False)],
)
def test_key_limited_to_networks_works_only_from_them(address: str, allowed: bool) -> None:
    _, token = make_key(make_account().id, allow_cidrs=["192.0.2.0/24", "2001:db8::/32"])
    assert (callers.resolve(token, address) is not None) is allowed


def test_rotated_key_works_during_the_grace_period() -> None:
    account = make_account()
    key, token = make_key(account.id, [Scope.ALERTS_READ])
    new, new_token = api_keys.rotate(account.id, key.key_id, timedelta(hours=1), actor=ACTOR)
    assert new.scopes == ["alerts:read"]
    assert callers.resolve(token, ADDRESS)
    assert callers.resolve(new_token, ADDRESS)
    old = next(row for row in api_keys.search(account.id) if row.id == key.id)
    assert old.expires_at is not None
    assert timedelta(minutes=59) < old.expires_at - datetime.now(UTC) <= timedelta(hours=1)


def test_rotated_key_has_one_successor_until_that_is_revoked() -> None:
    account, grace = make_account(), timedelta(hours=1)
    key, _ = make_key(account.id)
    new, _ = api_keys.rotate(account.id, key.key_id, grace, actor=ACTOR)
    with pytest.raises(InvalidRequest, match=new.key_id):
        api_keys.rotate(account.id, key.key_id, grace, actor=ACTOR)
    api_keys.revoke(account.id, new.key_id, actor=ACTOR)
    api_keys.rotate(account.id, key.key_id, grace, actor=ACTOR)


def test_rotation_without_grace_period_revokes_the_old_key() -> None:
    account = make_account()
    key, token = make_key(account.id)
    api_keys.rotate(account.id, key.key_id, timedelta(0), actor=ACTOR)
    assert callers.resolve(token, ADDRESS) is None


def test_key_of_the_previous_secret_works_and_its_digest_is_renewed(
    database: object,
) -> None:
    account = make_account()
    key, token = make_key(account.id)
    before = settings.current()

    settings.use(before.replace(secret_key="n" * 32, secret_key_previous=(before.secret_key,)))
    try:
        assert callers.resolve(token, ADDRESS)
        with transaction() as session:
            assert session.get_one(ApiKey, key.id).digest != key.digest
    finally:
        settings.use(before)


def test_key_of_another_account_cannot_be_revoked() -> None:
    key, _ = make_key(make_account().id)
    with pytest.raises(NotFound):
        api_keys.revoke(make_account().id, key.key_id, actor=ACTOR)


@pytest.mark.parametrize(
    "options",
    [
        {"allow_cidrs": ["192.0.2.1/24"]},
        {"rate_limit": "many"},
        {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)},
    ],
)
def test_invalid_option_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        make_key(make_account().id, **options)


def test_every_action_is_audited_without_the_key() -> None:
    account = make_account()
    key, token = make_key(account.id)
    api_keys.rotate(account.id, key.key_id, timedelta(0), actor=ACTOR)
    api_keys.revoke(account.id, key.key_id, actor=ACTOR, reason="leaked")
    with transaction() as session:
        events = session.scalars(select(AuditEvent).order_by(AuditEvent.id)).all()
    assert [event.action for event in events] == [
        "account.created",
        "key.created",
        "key.created",
        "key.rotated",
        "key.revoked",
    ]
    assert token[15:] not in str([event.details for event in events])

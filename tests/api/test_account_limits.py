"""The ceilings of an account over all its keys, which only an operator can raise."""

import time
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from app import settings as app_settings
from app.db.transactions import transaction
from app.errors import InvalidRequest
from app.limits.concurrency import ConcurrencyLimitExceeded, Slots
from app.models import AuditEvent
from app.services.api_keys import account_limits, api_keys
from app.services.api_keys.account_limits import Changes
from tests.support.api_client import Client, make_client
from tests.support.cli import run
from tests.support.factories import ACTOR, make_account, make_key
from tests.support.servers import NO_REDIS

DRAFT = {"check": "spf", "name": "acme.test", "records": ["v=spf1 -all"]}


@pytest.fixture
def account(redis_url: str, app: Flask, client: Client) -> Client:
    """A client of an account that may send six requests a minute."""
    limit(client, Changes(rate_limit="6 per minute"))
    return make_client(app, client.account_id, rate_limit="4 per minute")


def limit(client: Client, changes: Changes) -> None:
    account_limits.change(client.account_id, changes, actor=ACTOR)


def test_all_keys_of_an_account_share_its_rate_limit(app: Flask, account: Client) -> None:
    second = make_client(app, account.account_id, rate_limit="4 per minute")
    statuses = [client("GET", "/v1/me").status_code for client in (account, second) * 3]
    refused = second("GET", "/v1/me")
    assert (statuses, refused.status_code) == ([200] * 6, 429)
    error = refused.json["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert 1 <= error["retryAfter"] <= 60
    assert refused.headers["Retry-After"] == str(error["retryAfter"])
    assert refused.headers["X-RateLimit-Limit"] == "6"
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    assert refused.headers["RateLimit-Policy"] == '"account";q=6;w=60'


def test_headers_show_the_rate_limit_of_the_key(account: Client) -> None:
    response = account("GET", "/v1/me")
    assert response.headers["X-RateLimit-Limit"] == "4"
    assert response.headers["X-RateLimit-Remaining"] == "3"
    assert response.headers["RateLimit-Policy"] == '"default";q=4;w=60'


def test_key_over_its_limit_does_not_reduce_the_limit_of_others(
    app: Flask, account: Client
) -> None:
    assert [account("GET", "/v1/me").status_code for _ in range(9)] == [200] * 4 + [429] * 5
    assert make_client(app, account.account_id)("GET", "/v1/me").status_code == 200


def test_accounts_do_not_share_a_rate_limit(account: Client, stranger: Client) -> None:
    for _ in range(7):
        account("GET", "/v1/me")
    assert stranger("GET", "/v1/me").status_code == 200


def test_key_limit_cannot_exceed_the_account_limit(client: Client) -> None:
    limit(client, Changes(rate_limit="1000 per minute"))
    for refused in ("999999 per minute", "20 per second", "1001 per minute; 90000 per hour"):
        with pytest.raises(InvalidRequest, match="rateLimit: must be at most 1000 per minute"):
            make_key(client.account_id, rate_limit=refused)
    for allowed in ("1000 per minute", "10 per second", "60000 per hour"):
        make_key(client.account_id, rate_limit=allowed)


def test_key_limit_is_capped_by_a_lower_account_limit(app: Flask, client: Client) -> None:
    fast = make_client(app, client.account_id, rate_limit="5000 per minute")
    limit(client, Changes(rate_limit="50 per minute"))
    assert fast.data("GET", "/v1/me")["rateLimit"] == "50 per minute"
    assert fast("GET", "/v1/me").headers["X-RateLimit-Limit"] == "50"


def test_number_of_keys_of_an_account_is_limited(client: Client) -> None:
    limit(client, Changes(max_api_keys="3"))
    second, _ = make_key(client.account_id)
    make_key(client.account_id)
    with pytest.raises(InvalidRequest, match="3 active API keys, the maximum"):
        make_key(client.account_id)
    api_keys.revoke(client.account_id, second.key_id, actor=ACTOR)
    make_key(client.account_id)
    make_key(make_account().id)


def test_keys_at_the_maximum_can_be_rotated_but_not_added(client: Client) -> None:
    limit(client, Changes(max_api_keys="2"))
    key, _ = make_key(client.account_id)
    rotated, _ = api_keys.rotate(client.account_id, key.key_id, api_keys.MAX_GRACE, actor=ACTOR)
    with pytest.raises(InvalidRequest, match="the maximum"):
        api_keys.rotate(client.account_id, rotated.key_id, api_keys.MAX_GRACE, actor=ACTOR)


def test_operator_raises_and_resets_the_limits(client: Client) -> None:
    limit(client, Changes(max_api_keys="7"))
    limit(client, Changes(concurrent_exports="9"))
    limits = account_limits.find(client.account_id)
    assert (limits.max_api_keys, limits.concurrent_exports) == (7, 9)
    limit(client, Changes(max_api_keys="default"))
    assert account_limits.find(client.account_id).max_api_keys == 50
    with transaction(readonly=True) as session:
        actions = session.scalars(select(AuditEvent.action)).all()
    assert actions.count("account.limits_changed") == 3


def test_command_shows_and_changes_the_limits(app: Flask) -> None:
    make_account("Acme")
    shown = run(app, "accounts", "limits", "Acme", "--max-api-keys", "12")
    assert "active API keys         12" in shown
    wrong = run(app, "accounts", "limits", "Acme", "--rate-limit", "often", status=1)
    assert "expected format: 1000 per minute" in wrong


@pytest.fixture(params=["redis", "process"])
def slots(request: pytest.FixtureRequest) -> Slots:
    """Slots that are counted in Redis, and in this process."""
    is_shared = request.param == "redis"
    return Slots(request.getfixturevalue("redis_url") if is_shared else NO_REDIS)


def test_released_slot_is_free(slots: Slots) -> None:
    first = slots.acquire("export", "a", 2, 60)
    with slots.acquire("export", "a", 2, 60):
        with pytest.raises(ConcurrencyLimitExceeded) as refused:
            slots.acquire("export", "a", 2, 60)
        slots.acquire("export", "b", 2, 60)
        slots.acquire("evaluation", "a", 2, 60)
    assert "may run 2 exports at the same time" in refused.value.message
    first.release()
    first.release()
    slots.acquire("export", "a", 2, 60)


def test_stream_releases_its_slot_when_it_ends_or_is_closed(slots: Slots) -> None:
    def failing() -> Iterator[str]:
        raise ValueError
        yield ""

    for _ in range(3):
        assert list(slots.stream(slots.acquire("export", "a", 1, 60), lambda: iter("ab"))) == [
            "a",
            "b",
        ]
        unread = slots.stream(slots.acquire("export", "a", 1, 60), lambda: iter("ab"))
        unread.close()  # type: ignore[attr-defined]  # as a server closes it
        with pytest.raises(ValueError, match=r"^$"):
            list(slots.stream(slots.acquire("export", "a", 1, 60), failing))


def test_slot_of_a_killed_process_expires(redis_url: str) -> None:
    Slots(redis_url).acquire("export", "a", 1, 1)
    other = Slots(redis_url)
    with pytest.raises(ConcurrencyLimitExceeded):
        other.acquire("export", "a", 1, 1)
    for _ in range(40):
        time.sleep(0.1)
        try:
            other.acquire("export", "a", 1, 1)
            break
        except ConcurrencyLimitExceeded:
            continue
    else:
        pytest.fail("the slot did not expire")


def test_concurrent_draft_evaluations_of_an_account_are_limited(
    redis_url: str, app: Flask, client: Client, stranger: Client
) -> None:
    slots: Slots = app.extensions["slots"]
    running = [slots.acquire("evaluation", str(client.account_id), 2, 60) for _ in range(2)]
    refused = client("POST", "/v1/checks/evaluate", json=DRAFT)
    assert refused.status_code == 429
    assert refused.json["error"]["code"] == "concurrency_limit_exceeded"
    assert refused.headers["Retry-After"] == str(refused.json["error"]["retryAfter"])
    assert stranger("POST", "/v1/checks/evaluate", json=DRAFT).status_code == 200
    running[0].release()
    for _ in range(3):
        assert client("POST", "/v1/checks/evaluate", json=DRAFT).status_code == 200


def test_concurrent_exports_of_an_account_are_limited(
    redis_url: str, app: Flask, client: Client
) -> None:
    slots: Slots = app.extensions["slots"]
    running = [slots.acquire("export", str(client.account_id), 2, 60) for _ in range(2)]
    path = "/v1/reports/dmarc?format=csv"
    refused = client("GET", path)
    assert refused.status_code == 429
    assert refused.json["error"]["code"] == "concurrency_limit_exceeded"
    assert client("GET", "/v1/reports/dmarc").status_code == 200
    running[0].release()
    for _ in range(3):
        with client("GET", path) as response:
            assert response.status_code == 200
            assert response.text.partition(",")[0].strip('"') == "id"


def test_default_account_rate_limit_is_a_setting(app: Flask, client: Client) -> None:
    app_settings.use(app_settings.current().replace(account_rate_limit="3 per minute"))
    statuses = [client("GET", "/v1/me").status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]

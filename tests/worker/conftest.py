"""An account, and the connection of a worker to its queues."""

from typing import Any
from uuid import UUID

import pytest
from redis import Redis

from app import runtime
from app.jobs import queue
from tests.support.factories import make_account, make_domain
from tests.support.zones import Zone, ZoneNetwork


@pytest.fixture
def connection(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(runtime, "_network", ZoneNetwork(Zone({})))
    queue.bind(redis_url)
    with Redis.from_url(redis_url) as client:
        client.flushall()
        yield client


@pytest.fixture
def account_id() -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test")
    return account.id

"""Uses of keys: counted in memory, written together."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from app import ids
from app.db.transactions import transaction
from app.models import ApiKey
from app.services.api_keys import usage
from tests.support.factories import make_account, make_key

pytestmark = pytest.mark.usefixtures("database")

ROUTE = "GET /v1/me"


@pytest.fixture
def key_id() -> UUID:
    return make_key(make_account().id)[0].id


def test_pending_and_stored_calls_are_both_counted(key_id: UUID) -> None:
    usage.record(key_id, ROUTE, 200, "192.0.2.1")
    assert usage.today(key_id) == [(ROUTE, 200, 1)]
    usage.flush()
    usage.record(key_id, ROUTE, 200, "192.0.2.1")
    usage.record(key_id, ROUTE, 403, "192.0.2.1")
    assert usage.today(key_id) == [(ROUTE, 200, 2), (ROUTE, 403, 1)]
    usage.flush()
    assert usage.today(key_id) == [(ROUTE, 200, 2), (ROUTE, 403, 1)]


def test_last_use_is_stored_with_its_address(key_id: UUID) -> None:
    usage.record(key_id, ROUTE, 200, "192.0.2.7")
    usage.flush()
    with transaction() as session:
        key = session.get_one(ApiKey, key_id)
    assert key.last_used_address == "192.0.2.7"
    assert key.last_used_at is not None
    assert (datetime.now(UTC) - key.last_used_at).total_seconds() < 60


def test_deleted_key_does_not_stop_the_flush_of_others(key_id: UUID) -> None:
    usage.record(ids.new(), ROUTE, 200, "192.0.2.1")
    usage.record(key_id, ROUTE, 200, "192.0.2.1")
    usage.flush()
    assert usage.today(key_id) == [(ROUTE, 200, 1)]

"""A full disk: writes are refused, and the service is not ready until a write succeeds."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.engine import Engine

from app.db import transactions
from app.db.transactions import transaction
from app.errors import ServiceUnavailable
from tests.support.factories import make_account, make_app


def fill_disk(database: Engine) -> None:
    """Have a write fail as it does on a full disk."""
    with transaction() as session:
        if database.dialect.name == "sqlite":
            session.execute(text("PRAGMA max_page_count = 1"))  # the current size of the file
            free = session.execute(text("PRAGMA freelist_count")).scalar_one()  # left by others
            size = (free + 100) * session.execute(text("PRAGMA page_size")).scalar_one()
            session.execute(text(f"CREATE TABLE large AS SELECT zeroblob({size})"))
        else:
            session.execute(text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100'; END $$"))


@pytest.fixture
def client(database: Engine, settings: object) -> FlaskClient:
    return make_app(database, settings).test_client()  # type: ignore[arg-type]


def test_service_is_not_ready_after_a_write_found_a_full_disk(
    database: Engine, client: FlaskClient
) -> None:
    assert client.get("/readyz").status_code == 200
    try:
        with pytest.raises(ServiceUnavailable):
            fill_disk(database)
        assert transactions.is_full()
        response = client.get("/readyz")
        assert (response.status_code, response.json and response.json["database"]) == (503, "full")
    finally:
        database.dispose()  # the limit belongs to the connections of SQLite
    make_account()  # a write
    assert client.get("/readyz").status_code == 200

"""A domain with a report address, and its account."""

import pytest
from sqlalchemy import update
from sqlalchemy.engine import Engine

from app.db.transactions import now, transaction
from app.models import Domain
from tests.support.factories import make_account, make_domain
from tests.support.stored_reports import DAY


@pytest.fixture
def domain(database: Engine) -> Domain:
    """A domain monitored for sixty days, with reports of all days but the last week."""
    row = make_domain(make_account().id, "acme.test")
    with transaction() as session:
        old = now(session) - 60 * DAY
        session.execute(update(Domain).values(created_at=old, verified_at=old))
    return row

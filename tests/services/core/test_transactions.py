"""Reading rows in a separate transaction, and the errors of a database that is unavailable."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import bindparam, column, func, insert, select, table, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.db import engine, transactions
from app.errors import ServiceUnavailable
from app.models import Account, Domain
from app.services.domains import domains
from app.services.domains.domains import NewDomain
from tests.support.factories import ACTOR, make_account

LISTED: tuple[Any, ...] = (
    Domain.id,
    Domain.name,
    Domain.tags,
    Domain.score,
    Domain.verified_at,
    Domain.created_at,
)


@pytest.fixture
def account_id(database: Engine) -> UUID:
    account_id = make_account().id
    domains.create(account_id, NewDomain("a.test", tags=["x", "y"]), actor=ACTOR)
    domains.create(account_id, NewDomain("b.test"), actor=ACTOR)
    return account_id


def test_a_select_is_executed_with_the_parameters_of_each_call(account_id: UUID) -> None:
    since = bindparam("since", type_=Domain.created_at.type)
    statement = select(*LISTED).where(Domain.account_id == account_id, Domain.created_at >= since)
    ordered = statement.order_by(Domain.created_at, Domain.id)
    rows = transactions.fetch_all(ordered, {"since": datetime(2020, 1, 1, tzinfo=UTC)})
    counts = [len(transactions.fetch_all(ordered, {"since": row.created_at})) for row in rows]
    assert counts == [2, 1]


def test_a_connection_that_was_lost_while_idle_is_replaced(database: Engine) -> None:
    if database.dialect.name == "sqlite":
        pytest.skip("SQLite has no connections that a server can close")
    own = engine.connect(database.url.render_as_string(hide_password=False))
    transactions.bind(own)
    try:
        statement = select(func.pg_backend_pid().label("pid"))
        (row,) = transactions.fetch_all(statement, {})
        with database.begin() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": row.pid})
        assert transactions.fetch_all(statement, {})[0].pid != row.pid
    finally:
        transactions.bind(database)
        own.dispose()


def test_a_snapshot_does_not_see_later_commits(account_id: UUID) -> None:
    statement = select(func.count()).select_from(Domain)
    with transactions.transaction(readonly=True, snapshot=True) as session:
        before = session.scalar(statement)
        domains.create(account_id, NewDomain("c.test"), actor=ACTOR)
        assert session.scalar(statement) == before
    assert transactions.fetch_all(statement, {})[0][0] == 3


def test_an_unreachable_database_is_reported_as_unavailable(database: Engine) -> None:
    transactions.bind(engine.connect("postgresql+psycopg://unknown@127.0.0.1:1/none"))
    try:
        with pytest.raises(ServiceUnavailable):
            transactions.fetch_all(select(*LISTED), {})
    finally:
        transactions.bind(database)


def test_an_outdated_schema_is_reported_with_the_command_that_updates_it(database: Engine) -> None:
    missing: tuple[Any, ...] = (
        select(column("new_column")).select_from(table("domains")),
        select(column("id")).select_from(table("new_column")),
        insert(table("domains", column("new_column"))).values(new_column=1),
    )
    for statement in missing:
        with (
            pytest.raises(ServiceUnavailable, match="alembic upgrade head"),
            transactions.transaction() as session,
        ):
            session.execute(statement)
    with pytest.raises(ServiceUnavailable, match="alembic upgrade head"):
        transactions.fetch_all(missing[0], {})


def test_an_invalid_statement_is_not_reported_as_an_unavailable_database(
    database: Engine,
) -> None:
    doubled = insert(Account).values(id=make_account().id, name="again", created_at=func.now())
    for statement, error in ((doubled, IntegrityError), (text("SELEC 1"), DBAPIError)):
        with pytest.raises(error), transactions.transaction() as session:
            session.execute(statement)

"""Lists that are asked for past SQLAlchemy's execution: the same values, the same errors."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import bindparam, column, func, insert, select, table, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.db import engine, transactions
from app.db.prepared import PreparedSelect
from app.errors import ServiceUnavailable
from app.models import Account, AuditEvent, Domain
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


def test_values_are_those_that_a_session_gives(account_id: UUID) -> None:
    for columns in (LISTED, tuple(AuditEvent.__table__.columns)):
        owner = AuditEvent.account_id if columns is not LISTED else Domain.account_id
        statement = select(*columns).where(owner == account_id).order_by(columns[0])
        with transactions.transaction(readonly=True) as session:
            expected = [tuple(row) for row in session.execute(statement)]
        found = PreparedSelect(statement).rows({})
        assert found == expected
        assert [list(map(type, row)) for row in found] == [list(map(type, row)) for row in expected]


def test_parameters_are_given_at_each_use(account_id: UUID) -> None:
    since = bindparam("since", type_=Domain.created_at.type)
    statement = select(*LISTED).where(Domain.account_id == account_id, Domain.created_at >= since)
    question = PreparedSelect(statement.order_by(Domain.created_at, Domain.id))
    moments = [row.created_at for row in question.rows({"since": datetime(2020, 1, 1, tzinfo=UTC)})]
    assert [len(question.rows({"since": moment})) for moment in moments] == [2, 1]


def test_a_lost_connection_is_an_error_once_and_replaced(database: Engine) -> None:
    if database.dialect.name == "sqlite":
        pytest.skip("a file is not lost")
    own = engine.connect(database.url.render_as_string(hide_password=False))
    transactions.bind(own)
    try:
        question = PreparedSelect(select(func.pg_backend_pid().label("pid")))
        (found,) = question.rows({})
        with database.begin() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": found.pid})
        with pytest.raises(ServiceUnavailable):
            question.rows({})
        assert question.rows({})[0].pid != found.pid
    finally:
        transactions.bind(database)
        own.dispose()


def test_a_database_that_is_away_is_said_to_be(database: Engine) -> None:
    transactions.bind(engine.connect("postgresql+psycopg://nobody@127.0.0.1:1/none"))
    try:
        with pytest.raises(ServiceUnavailable):
            PreparedSelect(select(*LISTED)).rows({})
    finally:
        transactions.bind(database)


def test_a_database_that_was_not_brought_up_to_date_is_said_to_be_behind(database: Engine) -> None:
    missing: tuple[Any, ...] = (
        select(column("made_later")).select_from(table("domains")),
        select(column("id")).select_from(table("made_later")),
        insert(table("domains", column("made_later"))).values(made_later=1),
    )
    for statement in missing:
        with (
            pytest.raises(ServiceUnavailable, match="alembic upgrade head"),
            transactions.transaction() as session,
        ):
            session.execute(statement)
    with pytest.raises(ServiceUnavailable, match="alembic upgrade head"):
        PreparedSelect(missing[0]).rows({})


def test_a_statement_that_is_wrong_is_not_taken_for_a_database_that_is_away(
    database: Engine,
) -> None:
    doubled = insert(Account).values(id=make_account().id, name="again", created_at=func.now())
    for statement, error in ((doubled, IntegrityError), (text("SELEC 1"), DBAPIError)):
        with pytest.raises(error), transactions.transaction() as session:
            session.execute(statement)

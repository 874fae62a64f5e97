"""Transactions on a real SQLite file, and pagination cursors."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Engine

from app.db import cursors, transactions
from app.db import engine as db_engine
from app.errors import InvalidRequest


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = db_engine.connect(f"sqlite:///{tmp_path}/app.db")
    transactions.bind(engine)
    with transactions.transaction() as session:
        session.execute(text("CREATE TABLE notes (body TEXT)"))
    yield engine
    engine.dispose()


def _count() -> int:
    with transactions.transaction(readonly=True) as session:
        return int(session.execute(text("SELECT count(*) FROM notes")).scalar_one())


def test_callback_runs_after_row_is_visible_to_others(engine: Engine) -> None:
    counts: list[int] = []
    with transactions.transaction() as session:
        session.execute(text("INSERT INTO notes VALUES ('kept')"))
        transactions.after_commit(session, lambda: counts.append(_count()))
        assert counts == []
    assert counts == [1]


def test_exception_rolls_back_row_and_drops_callback(engine: Engine) -> None:
    calls: list[str] = []

    def write_and_fail() -> None:
        with transactions.transaction() as session:
            session.execute(text("INSERT INTO notes VALUES ('lost')"))
            transactions.after_commit(session, lambda: calls.append("called"))
            raise LookupError

    with pytest.raises(LookupError):
        write_and_fail()
    assert (calls, _count()) == ([], 0)


def test_database_is_ready_when_it_answers(engine: Engine) -> None:
    assert transactions.is_ready()


def test_cursor_is_valid_only_for_its_own_list() -> None:
    cursor = cursors.Cursor([b"s" * 32], {"account": "a", "sort": "name"})
    text = cursor.encode(["example.org", 7])
    assert cursor.decode(text) == ["example.org", 7]
    with pytest.raises(InvalidRequest):
        cursors.Cursor([b"s" * 32], {"account": "b", "sort": "name"}).decode(text)


@pytest.mark.parametrize("forged", ["", "A", "not a cursor", "é", "A" * 4000])
def test_forged_cursor_is_rejected_with_field_name(forged: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        cursors.Cursor([b"s" * 32], {}).decode(forged)

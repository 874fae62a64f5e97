"""Text from outside is stored equally by both databases, in every column of every table."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, String, Table, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from app.db import bulk
from app.db.engine import TransactionKind, engine_for
from app.db.text import escape
from app.db.types import Base, BoundedText, Json, PlainText, WordList
from app.models import DmarcRecord

# Every character, lone surrogates included; and many of those that are difficult.
HOSTILE = st.text(
    st.characters() | st.sampled_from("\0\x1b\x7f\x85\t\n\\\"'…\ud800\U0001f600"), max_size=400
)
TEXT_TYPES = (BoundedText, PlainText, Json, WordList)


def text_columns(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if isinstance(column.type, TEXT_TYPES)]


class Copies:
    """A session in which temporary tables without constraints hide the tables."""

    def __init__(self, session: Session, tables: Mapping[str, Table]) -> None:
        self.session, self.tables = session, tables


@pytest.fixture
def copies(database: Engine) -> Iterator[Copies]:
    engine = engine_for(database, TransactionKind.WRITE)  # a rollback drops the tables
    with engine.connect() as connection, Session(connection) as session:
        metadata = MetaData()
        for table in Base.metadata.tables.values():
            columns = [Column(column.name, column.type) for column in table.columns]
            Table(table.name, metadata, *columns, prefixes=["TEMPORARY"])
        metadata.create_all(connection, checkfirst=False)
        yield Copies(session, metadata.tables)
        session.rollback()


def test_every_column_of_text_escapes_what_it_stores() -> None:
    for table in Base.metadata.tables.values():
        for column in table.columns:
            assert not isinstance(column.type, String), f"{column} needs BoundedText or PlainText"


def stored(column: Column[Any], text: str) -> tuple[Any, Any]:
    """A value of the column with the text, and what is read again."""
    readable = escape(text)
    if isinstance(column.type, Json):
        return {f"a{text}": [text, {"b": text}]}, {f"a{readable}": [readable, {"b": readable}]}
    if isinstance(column.type, WordList):
        return [text.replace(",", "")], (readable.replace(",", ""),)
    length = column.type.length if isinstance(column.type, BoundedText) else None
    if length is not None and len(readable) > length:
        return text, readable[: length - 1] + "…"
    return text, readable


def rows_of(table: Table, text: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    values = {column.name: stored(column, text) for column in text_columns(table)}
    return (
        {name: value for name, (value, _) in values.items()},
        {name: expected for name, (_, expected) in values.items()},
    )


@given(text=HOSTILE)
@example(text="v=spf1 include:\0 -all")
@example(text="x" * 3_000)
@example(text="\0" * 300)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_hostile_text_is_read_as_it_was_escaped(copies: Copies, text: str) -> None:
    session = copies.session
    for table in copies.tables.values():
        values, expected = rows_of(table, text)
        if not values:
            continue
        session.execute(table.delete())
        session.execute(table.insert().values(values))
        row = session.execute(select(*text_columns(table))).mappings().one()
        assert dict(row) == expected, table.name


@given(text=HOSTILE)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_hostile_text_in_bulk_is_read_as_it_was_escaped(copies: Copies, text: str) -> None:
    session, table = copies.session, copies.tables[DmarcRecord.__tablename__]
    values, expected = rows_of(table, text)
    session.execute(table.delete())
    keys = {"report_id": uuid4(), "position": 1}
    assert keys.keys() >= {column.name for column in Base.metadata.tables[table.name].primary_key}
    cells = keys | dict(values)
    bulk.insert_many(session, DmarcRecord, list(cells), [list(cells.values())] * 2)
    for row in session.execute(select(*text_columns(table))).mappings():
        assert dict(row) == expected


def test_comparison_is_not_truncated(copies: Copies) -> None:
    session, table = copies.session, copies.tables[DmarcRecord.__tablename__]
    session.execute(table.insert().values(disposition="reject" * 10))
    found = select(table.c.disposition)
    assert session.scalar(found.where(table.c.disposition == "reject" * 10)) is None
    assert session.scalar(found.where(table.c.disposition == "rejectrejectrej…"))
    session.execute(table.insert().values(disposition="no\0ne"))
    assert session.scalar(found.where(table.c.disposition == "no\0ne")) == r"no\000ne"

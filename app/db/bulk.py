"""Inserting many rows quickly, and passing rows to a statement as one value."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    func,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.orm import Session

from app.db.text import dump_json, escape
from app.db.types import Base

INSERT_BATCH_SIZE = 5_000  # rows in memory at a time
BATCH_SIZE = 5_000  # values per statement


def insert(session: Session, table: type[Base] | Table) -> Any:
    """Return an INSERT of this database's dialect, with ``on_conflict_do_nothing`` and others."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    return (sqlite.insert if is_sqlite else postgresql.insert)(table)


def insert_many(
    session: Session, table: type[Base], names: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Insert many rows quickly: by COPY on PostgreSQL, by executemany on SQLite.

    names  column names, in the order of the values in each row
    """
    dialect = session.connection().dialect
    insert_bound(session, table, names, bind(dialect, table, names, rows))


def bind(
    dialect: Dialect, table: type[Base], names: Sequence[str], rows: Iterable[Sequence[Any]]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows with the values that the driver takes, for ``insert_bound``.

    It needs no transaction, and costs more CPU time than the INSERT itself.
    """
    types = [_columns(table)[name].type for name in names]
    processors = [kind.dialect_impl(dialect).bind_processor(dialect) for kind in types]
    processed = [(index, process) for index, process in enumerate(processors) if process]
    for row in rows:
        values = list(row)
        for index, process in processed:
            if values[index] is not None:
                values[index] = process(values[index])
        yield tuple(values)


def insert_bound(
    session: Session, table: type[Base], names: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Insert rows of ``bind``, as ``insert_many`` does."""
    connection = session.connection()
    quoted = ", ".join(f'"{name}"' for name in names)
    if connection.dialect.name == "sqlite":
        places = ", ".join("?" * len(names))
        statement = f'INSERT INTO "{table.__tablename__}" ({quoted}) VALUES ({places})'
        iterator = iter(rows)
        while batch := list(islice(iterator, INSERT_BATCH_SIZE)):
            connection.exec_driver_sql(statement, batch)
        return
    driver: Any = connection.connection.driver_connection
    with (
        driver.cursor() as cursor,
        cursor.copy(f'COPY "{table.__tablename__}" ({quoted}) FROM STDIN') as copy,
    ):
        for row in rows:
            copy.write_row(row)


def values_table(dialect: str, table: type[Base], names: Sequence[str]) -> Any:
    """Return a table of rows that ``values_parameters`` passes as parameters.

    names  names of the columns of ``table`` in the rows
    """
    columns = [_columns(table)[name] for name in names]
    if dialect == "sqlite":
        rows = func.json_each(bindparam("row_values", required=True)).table_valued("value")
        cells = [
            func.json_extract(rows.c.value, f"$[{index}]", type_=column.type).label(column.name)
            for index, column in enumerate(columns)
        ]
        return select(*cells).subquery("row_values")
    arrays = [
        cast(bindparam(f"row_values_{column.name}", type_=Text, required=True), ARRAY(column.type))
        for column in columns
    ]
    return func.unnest(*arrays).table_valued(*columns, name="row_values").render_derived()


def values_parameters(
    connection: Connection, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> dict[str, Any]:
    """Return the parameters for ``values_table``; cells are text, numbers or booleans."""
    if connection.dialect.name == "sqlite":
        return {"row_values": dump_json(rows).decode()}
    columns = zip(*rows, strict=True) if rows else (() for _ in names)
    return {f"row_values_{name}": _array(cells) for name, cells in zip(names, columns, strict=True)}


def _array(cells: Sequence[Any]) -> str:
    """Return the text of a PostgreSQL array, in a tenth of the time of the driver's adapter."""
    if cells and isinstance(cells[0], str):
        quoted = (escape(cell).replace("\\", r"\\").replace('"', r"\"") for cell in cells)
        return '{"' + '","'.join(quoted) + '"}'
    return "{" + ",".join(map(str, cells)) + "}"


def insert_values(
    dialect: str, table: type[Base], names: Sequence[str], *, fixed: Sequence[str] = ()
) -> Any:
    """Return an INSERT of rows passed as parameters, five times as fast as one for each row.

    fixed  columns with the same value in all rows, passed as separate parameters
    """
    rows = values_table(dialect, table, names)
    cells = [*(fixed_value(table, name) for name in fixed), *(rows.c[name] for name in names)]
    insert = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)
    # SQLite would parse ON CONFLICT as the condition of a join.
    return insert.from_select([*fixed, *names], select(*cells).where(true()))


def is_any(session: Session, column: Any, values: Collection[Any]) -> ColumnElement[bool]:
    """Return the condition that the column has one of the values.

    On PostgreSQL they are one parameter: hundreds of them cost more than the rest of a short query.
    """
    if session.get_bind().dialect.name == "sqlite":
        condition: ColumnElement[bool] = column.in_(values)
        return condition
    array = bindparam(None, list(values), type_=ARRAY(column.type), unique=True)
    return column == any_(array)  # type: ignore[no-any-return]  # of any column


def fixed_value(table: type[Base], name: str) -> Any:
    """Return the parameter for a column with the same value in all rows."""
    return bindparam(name, type_=_columns(table)[name].type, required=True)


def _columns(table: type[Base]) -> Any:
    return Base.metadata.tables[table.__tablename__].c


T = TypeVar("T")


def batched(values: Iterable[T]) -> Iterator[list[T]]:
    """Yield the values in lists of BATCH_SIZE, as databases limit the parameters of a statement."""
    iterator = iter(values)
    while batch := list(islice(iterator, BATCH_SIZE)):
        yield batch

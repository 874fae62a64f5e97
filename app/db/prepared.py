"""Lists are asked for so often that the driver is asked by itself, without SQLAlchemy's execution.

What SQLAlchemy knows is used all the same: it compiles the statement, for this database, and says
how values of each type go in and come out.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Select
from sqlalchemy.engine import Engine

from app.db import transactions

Converter = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Compiled:
    """What is known of a statement once it has been asked.

    fixed    values of parameters that are always the same, as the driver takes them
    takes    how the others go in; ``order``: their names, where the driver wants them in a line
    gives    columns whose values are converted on the way out, by their place in a row
    """

    engine: Engine
    sql: str
    fixed: Mapping[str, Any]
    input_converters: Mapping[str, Converter]
    order: Sequence[str] | None
    output_converters: Sequence[tuple[int, Converter]]
    make: Converter

    def parameters(self, parameters: Mapping[str, Any]) -> Any:
        """The values of all parameters, as the driver wants them."""
        values = {**self.fixed, **parameters}
        for name in parameters.keys() & self.input_converters.keys():
            values[name] = self.input_converters[name](values[name])
        return values if self.order is None else [values[name] for name in self.order]

    def row(self, found: Sequence[Any]) -> Any:
        """A row as a named tuple, whose columns are read ten times as fast as SQLAlchemy's."""
        values = list(found)
        for place, convert in self.output_converters:
            values[place] = convert(values[place])
        return self.make(values)


class PreparedSelect:
    """A SELECT of columns, compiled at its first use; without ``IN``, whose SQL is never the same.

    Of its parameters those that have no value are given at each use.
    """

    def __init__(self, statement: Select[Any]) -> None:
        self._statement = statement
        self._prepared: _Compiled | None = None

    def rows(self, parameters: Mapping[str, Any]) -> list[Any]:
        """What is found, as named tuples.

        raises  ServiceUnavailable if the database cannot be reached, or does not answer in time
        """
        engine = transactions.current_engine()
        prepared = self._prepared
        if prepared is None or prepared.engine is not engine:
            prepared = self._prepared = _prepare(engine, self._statement, parameters)
        found = _ask(engine, prepared.sql, prepared.parameters(parameters))
        return list(map(prepared.row, found))


def _prepare(engine: Engine, statement: Select[Any], parameters: Mapping[str, Any]) -> _Compiled:
    dialect = engine.dialect
    compiled: Any = statement.compile(dialect=dialect)
    takes: dict[str, Converter] = {}
    for bind, name in compiled.bind_names.items():
        if convert := bind.type.dialect_impl(dialect).bind_processor(dialect):
            takes[name] = convert
    fixed = {
        name: takes[name](value) if name in takes else value
        for name, value in compiled.construct_params(parameters).items()
        if name not in parameters
    }
    columns = list(statement.selected_columns)
    gives = [
        (place, convert)
        for place, column in enumerate(columns)
        if (convert := column.type.dialect_impl(dialect).result_processor(dialect, None))
    ]
    names = [column.key or "" for column in columns]
    made: Any = namedtuple("Found", names, rename=True)  # type: ignore[misc]
    order = compiled.positiontup if compiled.positional else None
    return _Compiled(
        engine, str(compiled), fixed, takes, order, gives, partial(tuple.__new__, made)
    )


def _ask(engine: Engine, sql: str, parameters: Any) -> Sequence[Any]:
    """The rows as the driver has them; a SELECT by itself is a transaction of its own."""
    dialect = engine.dialect
    driver = dialect.loaded_dbapi
    with transactions.available():
        connection = engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(sql, parameters)
            return cursor.fetchall()
        except driver.Error as error:
            if dialect.is_disconnect(error, connection, None):
                connection.invalidate(error)
            raise
        finally:
            connection.close()

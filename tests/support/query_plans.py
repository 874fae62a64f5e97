"""The plans that the database chooses for queries."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine


def plans(database: Engine, read_all: Callable[[], object]) -> Mapping[str, str]:
    """The plan of each query by its text."""
    statements: dict[str, Any] = {}

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        statements[statement] = parameters

    event.listen(database, "before_cursor_execute", note)
    try:
        read_all()
    finally:
        event.remove(database, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if database.dialect.name == "sqlite" else "EXPLAIN "
    with database.connect() as connection:
        return {
            statement: "\n".join(
                str(row[-1]) for row in connection.exec_driver_sql(explain + statement, parameters)
            )
            for statement, parameters in statements.items()
            if statement.startswith("SELECT") and "FROM" in statement
        }

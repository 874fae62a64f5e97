"""How a database executes the query of a claim."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from app.db import query_plans
from app.db.transactions import transaction


def check(database: Engine, claim: Callable[[], object], order: str, index: str) -> None:
    """Check that the claim reads rows in the order of the index, and no others.

    order  the beginning of the ORDER BY of its query, with a limit of 100
    """
    statement, parameters = statement_of(database, claim, order)
    is_sqlite = database.dialect.name == "sqlite"
    explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN (ANALYZE, FORMAT JSON) "
    with transaction() as session, query_plans.index_order(session):
        connection = session.connection()
        rows = connection.exec_driver_sql(explain + statement, parameters).all()
    if is_sqlite:
        table = order.split(".")[0]
        assert [row[-1] for row in rows] == [f"SCAN {table} USING INDEX {index}"]
        return
    plan = rows[0][0][0]["Plan"]
    while "Plans" in plan:
        (plan,) = plan["Plans"]
    assert plan["Index Name"] == index
    assert plan["Actual Rows"] == 100
    assert plan.get("Rows Removed by Filter", 0) == 0


def statement_of(database: Engine, read: Callable[[], object], order: str) -> tuple[str, Any]:
    """The only statement with this order, and its parameters."""
    statements: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if f"ORDER BY {order}" in statement:
            statements.append((statement, parameters))

    event.listen(database, "before_cursor_execute", note)
    try:
        read()
    finally:
        event.remove(database, "before_cursor_execute", note)
    (only,) = statements
    return only

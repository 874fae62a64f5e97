"""Which rows of every table belong to an account, and how rows are deleted in bounded batches."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Table, delete, false, select, tuple_
from sqlalchemy.orm import Session

from app.db.transactions import transaction
from app.models import Base

BATCH_SIZE = 1_000
# A row of these has hundreds of rows below it, or is large.
BATCH_SIZES = {"dmarc_reports": 50, "raw_files": 200, "tls_reports": 200, "scans": 500}


def tables() -> Sequence[Table]:
    """Return every table, each before those that refer to it."""
    return Base.metadata.sorted_tables


def owned_by(table: Table, account_id: UUID) -> ColumnElement[bool] | None:
    """Return the condition for the account's rows; None for a table that no account owns.

    A table without the column ``account_id`` belongs to the account through what it refers to.
    """
    if table.name == "accounts":
        return table.c.id == account_id
    if "account_id" in table.c:
        return table.c.account_id == account_id
    for constraint in table.foreign_key_constraints:
        parent, (key, *more) = constraint.referred_table, constraint.elements
        if more or parent is table:
            continue
        condition = owned_by(parent, account_id)
        if condition is not None:
            return key.parent.in_(select(key.column).where(condition))
    return None


def batch_size(table: Table) -> int:
    """Return the number of rows of the table that are deleted in one transaction."""
    return BATCH_SIZES.get(table.name, BATCH_SIZE)


def delete_batch(session: Session, table: Table, condition: ColumnElement[bool]) -> int:
    """Delete one batch of the rows in the caller's transaction; return their number.

    Rows that another transaction has locked are left for the next batch.
    """
    keys = list(table.primary_key.columns)
    batch = select(*keys).where(condition).limit(batch_size(table))
    rows = session.execute(batch.with_for_update(skip_locked=True, of=table)).all()
    if not rows:
        return 0
    session.execute(delete(table).where(_is_any(keys, rows)))
    return len(rows)


def delete_all(
    table: Table,
    condition: ColumnElement[bool],
    check: Callable[[Session], object] = lambda _: None,
) -> int:
    """Delete all of the rows, each batch in a transaction; return their number.

    check  is called at the beginning of each transaction; an exception stops the deletion
    """
    count = 0
    while True:
        with transaction() as session:
            check(session)
            batch = delete_batch(session, table, condition)
        count += batch
        if batch < batch_size(table):
            return count


def _is_any(keys: Sequence[Any], rows: Sequence[Sequence[Any]]) -> ColumnElement[bool]:
    if not rows:
        return false()
    if len(keys) == 1:
        return keys[0].in_([row[0] for row in rows])  # type: ignore[no-any-return]
    return tuple_(*keys).in_([tuple(row) for row in rows])

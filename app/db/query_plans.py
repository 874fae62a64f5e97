"""How PostgreSQL plans the queries of a transaction."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text
from sqlalchemy.orm import Session


@contextmanager
def index_order(session: Session) -> Iterator[None]:
    """Have PostgreSQL read rows by the index that has their order, whatever its statistics say.

    They do not include rows that were queued recently. It would expect few rows, read all queued
    ones by a smaller index, and sort them.
    """
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    if is_postgresql:
        session.execute(text("SET LOCAL enable_sort = off"))
    yield
    if is_postgresql:
        session.execute(text("SET LOCAL enable_sort = on"))

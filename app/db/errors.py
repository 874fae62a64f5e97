"""What an error of the database means to whoever asked it."""

import re
import sqlite3
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

UNDEFINED = ("42P01", "42703")  # PostgreSQL's states: of a table, of a column
AWAY = "The database does not answer; try again soon"
BEHIND = "The database is not of this version yet: `alembic upgrade head` is to be run"


def reason(error: Exception, driver: Any) -> str | None:
    """Why there is no answer; None: the statement is at fault.

    error   SQLAlchemy's, or one of the ``driver`` (PEP 249) itself
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    # SQLite has one class for what is wrong in a statement and for what is wrong with the file.
    is_statement = getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
    is_undefined = is_statement and re.search("no such (table|column)|no column named", str(cause))
    if is_undefined or getattr(cause, "sqlstate", None) in UNDEFINED:
        return BEHIND
    is_away = isinstance(cause, (driver.OperationalError, driver.InterfaceError, PoolTimeout))
    return AWAY if is_away and not is_statement else None

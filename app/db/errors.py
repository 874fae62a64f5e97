"""Database errors, translated into reasons for callers."""

import re
import sqlite3
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

UNDEFINED = ("42P01", "42703")  # PostgreSQL error codes: undefined table, undefined column
UNAVAILABLE = "The database is temporarily unavailable; try again in a moment"
DISK_FULL = "53100"
OUTDATED_SCHEMA = "The database schema is out of date; run `alembic upgrade head`"


def reason(error: Exception, driver: Any) -> str | None:
    """Return why the database is unavailable; None if the statement itself is wrong.

    error   an exception of SQLAlchemy or of the ``driver`` (PEP 249)
    """
    cause = error.orig if isinstance(error, DBAPIError) else error
    # SQLite has one exception class for errors in a statement and errors of the file.
    is_statement = getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
    is_undefined = is_statement and re.search("no such (table|column)|no column named", str(cause))
    if is_undefined or getattr(cause, "sqlstate", None) in UNDEFINED:
        return OUTDATED_SCHEMA
    is_unavailable = isinstance(
        cause, (driver.OperationalError, driver.InterfaceError, PoolTimeout)
    )
    return UNAVAILABLE if is_unavailable and not is_statement else None


def is_disk_full(error: Exception) -> bool:
    """Return whether a write failed because the disk of the database is full."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return True
    return getattr(cause, "sqlstate", None) == DISK_FULL

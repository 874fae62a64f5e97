"""Column types, the naming of constraints, and the base class of every table."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    DateTime,
    MetaData,
    String,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import JSON, Text, TypeDecorator, TypeEngine

from app.db.text import escape, truncate

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The base class of every table."""

    metadata = MetaData(naming_convention=NAMING)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite stores no time zone, and PostgreSQL connections use UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("datetime has no time zone")
        return value.astimezone(UTC) if value else None

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[str | None], datetime | None] | None:
        return _utc if dialect.name == "sqlite" else None


def _utc(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(f"{text}+00:00")


class PlainText(TypeDecorator[str]):
    """Text of any length from any source, stored equally by both databases.

    Control characters are escaped, see ``app.db.text``.
    """

    impl = Text
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:
        return _escaped


class BoundedText(TypeDecorator[str]):
    """Text from any source of at most ``length`` characters, stored equally by both databases.

    Control characters are escaped and longer text is truncated, see ``app.db.text``. Values that
    are compared with the column are not truncated, so that they never match another value.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self._length = length

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:
        length = self._length

        def process(value: str | None) -> str | None:
            return None if value is None else truncate(escape(value), length)

        return process

    def coerce_compared_value(self, op: OperatorType | None, value: Any) -> TypeEngine[Any]:
        return _COMPARED


_COMPARED = PlainText()


def _escaped(value: str | None) -> str | None:
    return None if value is None else escape(value)


class WordList(TypeDecorator[Sequence[str]]):
    """Words without commas, stored as ``,a,b,`` to be searched with LIKE '%,a,%'."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Sequence[str] | None, dialect: Dialect) -> str | None:
        return None if value is None else escape("".join(f",{word}" for word in value)) + ","

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[str | None], tuple[str, ...] | None]:
        return _split_words


@lru_cache(maxsize=4_096)  # the rows of a list have few different values
def _split_words(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(text[1:-1].split(",")) if len(text) > 1 else ()


Json = JSON  # not JSONB: read and written as a whole, never searched
JsonOrNull = JSON(none_as_null=True)  # None is NULL and not the JSON value null

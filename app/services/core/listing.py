"""A list of rows that can be read by the page or as a whole, in keyset order."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Integer, Select, Uuid, and_, bindparam, inspect, or_
from sqlalchemy.sql import operators

from app.db.prepared import PreparedSelect
from app.db.types import UtcDateTime

BATCH_SIZE = 1_000


class Period(Protocol):
    """Filters that bound a time; None: not on that side."""

    @property
    def from_at(self) -> datetime | None:
        """The first moment that is in it."""

    @property
    def to_at(self) -> datetime | None:
        """The first that is behind it."""


def apply_filters(
    statement: Select[Any], wanted: Iterable[tuple[Any, Any]], moment: Any, span: Period
) -> Select[Any]:
    """Only rows with these values whose ``moment`` is in the span.

    wanted  columns with their values; one that is empty leaves all
    """
    for column, value in wanted:
        if value:
            statement = statement.where(column == value)
    if span.from_at:
        statement = statement.where(moment >= span.from_at)
    if span.to_at:
        statement = statement.where(moment < span.to_at)
    return statement


@dataclass(frozen=True)
class Listing:
    """What is in the list and in which order; each reading is a transaction of its own.

    order  columns, ``….desc()`` where newest or best comes first; together they are unique
    """

    statement: Select[Any]
    order: tuple[Any, ...]

    def page(
        self, place: Sequence[Any] | None, limit: int
    ) -> tuple[Sequence[Any], list[Any] | None]:
        """Rows from ``place`` on, and the place of the next page, if any.

        place  the values of ``order`` in the row before, as JSON gave them back
        """
        _, at = self._keyed
        parameters: dict[str, Any] = {"most": limit + 1}
        if place is None:
            found = self._first.rows(parameters)
        else:
            values = map(_read, self._columns, place)
            parameters.update((f"place_{i}", value) for i, value in enumerate(values))
            found = self._following.rows(parameters)
        if len(found) <= limit:
            return found, None
        last = found[limit - 1]
        return found[:limit], [_plain(last[position]) for position in at]

    def exceeds(self, most: int) -> bool:
        """Whether there are more rows than that."""
        statement, _ = self._keyed
        return bool(PreparedSelect(statement.offset(most)).rows({"most": 1}))

    def iterate(self, most: int) -> Iterator[Any]:
        """All rows up to that number, a few at a time: no transaction waits for who reads them."""
        place: Sequence[Any] | None = None
        while most > 0:
            found, place = self.page(place, min(BATCH_SIZE, most))
            yield from found
            most -= len(found)
            if place is None:
                return

    @cached_property
    def _columns(self) -> list[Any]:
        return [getattr(column, "element", column) for column in self.order]

    @cached_property
    def _first(self) -> PreparedSelect:
        return PreparedSelect(self._keyed[0])

    @cached_property
    def _following(self) -> PreparedSelect:
        places = [bindparam(f"place_{i}", type_=c.type) for i, c in enumerate(self._columns)]
        return PreparedSelect(self._keyed[0].where(_is_after(self.order, self._columns, places)))

    @cached_property
    def _keyed(self) -> tuple[Select[Any], list[int]]:
        """The statement with its order, and where in a row the columns of that are."""
        statement, at = self.statement, []
        for column in self._columns:
            chosen = statement.selected_columns
            known = chosen.corresponding_column(inspect(column).expression)
            if known is None:
                statement = statement.add_columns(column)
            at.append(len(chosen) if known is None else chosen.values().index(known))
        statement = statement.order_by(*self.order).limit(bindparam("most", type_=Integer))
        return statement, at


def _is_after(order: Sequence[Any], columns: Sequence[Any], place: Sequence[Any]) -> Any:
    """(a, b) behind (x, y): a behind x, or a = x and b behind y."""
    clauses = []
    for index, (ordering, column) in enumerate(zip(order, columns, strict=True)):
        value = place[index]
        is_descending = getattr(ordering, "modifier", None) is operators.desc_op
        behind = column < value if is_descending else column > value
        same = [columns[i] == place[i] for i in range(index)]
        clauses.append(and_(*same, behind))
    if len(clauses) == 1:
        return clauses[0]
    # Said apart, for no database finds it by itself: an index leads there at once.
    return and_(_is_at_or_after(order[0], columns[0], place[0]), or_(*clauses))


def _is_at_or_after(ordering: Any, column: Any, value: Any) -> Any:
    """It is behind the value, or the same."""
    is_descending = getattr(ordering, "modifier", None) is operators.desc_op
    return column <= value if is_descending else column >= value


def _plain(value: Any) -> Any:
    """As JSON can hold it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _read(column: Any, value: Any) -> Any:
    if isinstance(column.type, UtcDateTime):
        return datetime.fromisoformat(value)
    return UUID(value) if isinstance(column.type, Uuid) else value

"""Lists of rows with keyset pagination, read by page or as a whole."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any, Generic, Protocol, TypeVar, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Select, Uuid, and_, bindparam, inspect, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql import operators

from app.db import transactions
from app.db.types import UtcDateTime
from app.services.core import domain_lookup

BATCH_SIZE = 1_000


class Period(Protocol):
    """Filters that bound a time; None leaves that side open."""

    @property
    def from_at(self) -> datetime | None:
        """The start of the period, inclusive."""

    @property
    def to_at(self) -> datetime | None:
        """The end of the period, exclusive."""


def apply_filters(
    statement: Select[Any], equals: Iterable[tuple[Any, Any]], time_column: Any, period: Period
) -> Select[Any]:
    """Return the statement, limited to rows with these values and a time in the period.

    equals       columns with their values; an empty value does not filter
    time_column  the column that ``period`` bounds
    """
    for column, value in equals:
        if value:
            statement = statement.where(column == value)
    if period.from_at:
        statement = statement.where(time_column >= period.from_at)
    if period.to_at:
        statement = statement.where(time_column < period.to_at)
    return statement


@dataclass(frozen=True)
class Listing:
    """A list of rows in a unique order; each read is a separate transaction.

    order    columns, ``….desc()`` where newest or best comes first; together they are unique
    convert  makes the value that a reader gets from a row
    """

    statement: Select[*tuple[Any, ...]]
    order: tuple[Any, ...]
    convert: Callable[[Any], Any] | None = None

    def page(
        self, cursor_values: Sequence[Any] | None, limit: int, session: Session | None = None
    ) -> tuple[Sequence[Any], list[Any] | None]:
        """Return a page of rows, and the cursor values of the next page, if any.

        cursor_values  the values of ``order`` in the last row of the previous page
        session        reads in the transaction of this session instead of a separate one
        """
        statement, positions = self._keyed
        parameters: dict[str, Any] = {"most": limit + 1}
        if cursor_values is None:
            rows = _fetch(statement, parameters, session)
        else:
            values = map(_read, self._columns, cursor_values)
            parameters.update((f"cursor_{i}", value) for i, value in enumerate(values))
            rows = _fetch(self._following, parameters, session)
        cursor_values = None
        if len(rows) > limit:
            rows = rows[:limit]
            cursor_values = [_plain(rows[-1][position]) for position in positions]
        return list(map(self.convert, rows)) if self.convert else rows, cursor_values

    def exceeds(self, most: int) -> bool:
        """Return whether there are more than ``most`` rows."""
        statement, _ = self._keyed
        return bool(transactions.fetch_all(statement.offset(most), {"most": 1}))

    def iterate(self, most: int) -> Iterator[Any]:
        """Yield up to ``most`` rows, read in pages, so that no transaction stays open."""
        cursor_values: Sequence[Any] | None = None
        while most > 0:
            rows, cursor_values = self.page(cursor_values, min(BATCH_SIZE, most))
            yield from rows
            most -= len(rows)
            if cursor_values is None:
                return

    @cached_property
    def _columns(self) -> list[Any]:
        return [getattr(column, "element", column) for column in self.order]

    @cached_property
    def _following(self) -> Select[Any]:
        parameters = [bindparam(f"cursor_{i}", type_=c.type) for i, c in enumerate(self._columns)]
        return self._keyed[0].where(_is_after(self.order, self._columns, parameters))

    @cached_property
    def _keyed(self) -> tuple[Select[Any], list[int]]:
        """The ordered statement, and the positions of the order columns in its rows."""
        statement, positions = self.statement, []
        for column in self._columns:
            selected = statement.selected_columns
            existing = selected.corresponding_column(inspect(column).expression)
            if existing is None:
                statement = statement.add_columns(column)
            positions.append(
                len(selected) if existing is None else selected.values().index(existing)
            )
        statement = statement.order_by(*self.order).limit(bindparam("most", type_=Integer))
        return statement, positions


def _fetch(
    statement: Select[*tuple[Any, ...]], parameters: dict[str, Any], session: Session | None
) -> Sequence[Any]:
    if session is None:
        return transactions.fetch_all(statement, parameters)
    return session.execute(statement, parameters).all()


F = TypeVar("F", bound=Period)


def _no_conditions(filters: Any) -> Iterable[ColumnElement[bool]]:
    return ()


@dataclass(frozen=True, eq=False)
class FilteredTable(Generic[F]):
    """The lists of one table: the rows of an account that match filters, newest first.

    If the filters have a field ``domain`` with an id or a name, only rows of that domain match.

    table        a mapped class with the columns ``id`` and ``account_id``
    equals       fields of the filters; the column of the same name must equal a value that is set
    time_column  the column that the period of the filters bounds
    conditions   further conditions for the filters
    """

    table: Any
    columns: tuple[Any, ...]
    equals: tuple[str, ...]
    time_column: Any
    conditions: Callable[[F], Iterable[ColumnElement[bool]]] = _no_conditions

    def matching(self, account_id: UUID, filters: F) -> Listing:
        """Return the list of the account's rows that match.

        raises  NotFound if the domain is not in the account
        """
        ref: str | None = getattr(filters, "domain", None)
        domain_id = domain_lookup.find(account_id, ref).id if ref else None
        return _matching(self, account_id, domain_id, cast(Hashable, filters))


@lru_cache(maxsize=2_048)
def _matching(
    table: FilteredTable[Any], account_id: UUID, domain_id: UUID | None, filters: Any
) -> Listing:
    statement = (
        select(*table.columns)
        .where(table.table.account_id == account_id)
        .where(*table.conditions(filters))
    )
    if domain_id is not None:
        statement = statement.where(table.table.domain_id == domain_id)
    equals = [(getattr(table.table, name), getattr(filters, name)) for name in table.equals]
    statement = apply_filters(statement, equals, table.time_column, filters)
    return Listing(statement, (table.table.id.desc(),))


def _is_after(order: Sequence[Any], columns: Sequence[Any], cursor_values: Sequence[Any]) -> Any:
    """The condition that (a, b) comes after (x, y): a after x, or a = x and b after y."""
    clauses = []
    for index, (ordering, column) in enumerate(zip(order, columns, strict=True)):
        value = cursor_values[index]
        is_descending = getattr(ordering, "modifier", None) is operators.desc_op
        beyond = column < value if is_descending else column > value
        same = [columns[i] == cursor_values[i] for i in range(index)]
        clauses.append(and_(*same, beyond))
    if len(clauses) == 1:
        return clauses[0]
    # Redundant, but it lets every database start at the right position of an index.
    return and_(_is_at_or_after(order[0], columns[0], cursor_values[0]), or_(*clauses))


def _is_at_or_after(ordering: Any, column: Any, value: Any) -> Any:
    """The condition that the column comes after the value, or equals it."""
    is_descending = getattr(ordering, "modifier", None) is operators.desc_op
    return column <= value if is_descending else column >= value


def _plain(value: Any) -> Any:
    """The value as JSON."""
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _read(column: Any, value: Any) -> Any:
    if isinstance(column.type, UtcDateTime):
        return datetime.fromisoformat(value)
    return UUID(value) if isinstance(column.type, Uuid) else value

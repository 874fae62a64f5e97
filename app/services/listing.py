"""A list of rows that can be read by the page or as a whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select

from app.db import page, transaction

AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Listing:
    """What is in the list and in which order; each reading is a transaction of its own."""

    statement: Select[Any]
    order: tuple[Any, ...]

    def page(
        self, place: Sequence[Any] | None, limit: int
    ) -> tuple[Sequence[Row[Any]], list[Any] | None]:
        """Rows from ``place`` on, and the place of the next page, if any."""
        with transaction(readonly=True) as session:
            return page(session, self.statement, self.order, place, limit)

    def exceeds(self, most: int) -> bool:
        """Whether there are more rows than that."""
        with transaction(readonly=True) as session:
            beyond = self.statement.order_by(*self.order).offset(most).limit(1)
            return session.execute(beyond).first() is not None

    def every(self, most: int) -> Iterator[Row[Any]]:
        """All rows up to that number, a few at a time: no transaction waits for who reads them."""
        place: Sequence[Any] | None = None
        while most > 0:
            rows, place = self.page(place, min(AT_ONCE, most))
            yield from rows
            most -= len(rows)
            if place is None:
                return

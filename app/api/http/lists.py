"""List endpoints: filters from a query, and a page of rows as its response.

Rows are cached as JSON as long as they are unchanged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields as dataclass_fields
from functools import cache
from typing import Any, Protocol, TypeVar

import orjson
from flask import Response

from app.api.http import fields, responses
from app.api.http.endpoint import Query
from app.db.text import dump_json

MAX_CACHED_ROWS, MAX_CACHED_BYTES = 1024, 4096

F = TypeVar("F")

Page = tuple[Sequence[Any], list[Any] | None]  # rows, and the cursor values of the next page


class ReadPage(Protocol):
    """Reads one page of a list."""

    def __call__(self, *, cursor_values: Sequence[Any] | None, limit: int) -> Page:
        """Return a page of rows, and the cursor values of the next page, if any."""


def filters(query: Query, type: type[F], **values: Any) -> F:
    """Return the filters of a service: the fields of the query that have the same names.

    type    a dataclass
    values  fields with other values than those of the query
    """
    common = _common_names(query.__class__, type)  # type: ignore[arg-type]  # a class is hashable
    return type(**{name: getattr(query, name) for name in common} | values)


@cache
def _common_names(query: type[Query], filters: Any) -> frozenset[str]:
    names = {field.name for field in dataclass_fields(filters)}
    return frozenset(names & set(query.model_fields))


def page(
    query: fields.Listing,
    read: ReadPage,
    serialize: Callable[[Any], Mapping[str, Any] | orjson.Fragment],
) -> Response:
    """Return the page that the query requests, with the link to the next one.

    raises  InvalidRequest for a cursor of another list
    """
    rows, following = read(cursor_values=responses.cursor_values(query), limit=query.limit)
    return responses.page([serialize(row) for row in rows], query, following)


class SerializedRowCache:
    """Serializes rows and caches the JSON with the row.

    Clients request the same lists repeatedly, and comparing a row takes a fifth of the time of
    serializing it.

    serialize  returns the JSON object of a row with an ``id``; further arguments must depend on
               that id only
    """

    def __init__(self, serialize: Callable[..., Mapping[str, Any]]) -> None:
        self._serialize = serialize
        self._cached: dict[int, tuple[Any, orjson.Fragment]] = {}

    def __call__(self, row: Any, *more: Any) -> orjson.Fragment:
        """Return the row as JSON, for ``responses.page``."""
        cached = self._cached.get(row.id.int)
        cells = tuple(row)
        if cached is not None and cached[0] == cells:
            return cached[1]
        text = dump_json(self._serialize(row, *more))
        fragment = orjson.Fragment(text)
        if len(text) <= MAX_CACHED_BYTES:
            if len(self._cached) >= MAX_CACHED_ROWS:
                self._cached.clear()
            self._cached[row.id.int] = (cells, fragment)
        return fragment

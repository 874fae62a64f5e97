"""A cache of list rows as JSON, valid as long as a row is unchanged."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from app.db.text import dump_json

MAX_ROWS, MAX_BYTES = 1024, 4096


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
        if len(text) <= MAX_BYTES:
            if len(self._cached) >= MAX_ROWS:
                self._cached.clear()
            self._cached[row.id.int] = (cells, fragment)
        return fragment

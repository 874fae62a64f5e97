"""The JSON of list rows is cached while the rows are unchanged."""

from collections import namedtuple
from typing import Any
from uuid import UUID

import orjson
import pytest

from app.api.http import lists
from app.api.http.lists import SerializedRowCache

Row = namedtuple("Row", ["id", "name"])


class Shape:
    """Counts how often it is serialized."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(self, row: Any, *more: str) -> dict[str, str]:
        self.made.append(row.name)
        return {"name": row.name, "more": "".join(more)}


def test_row_is_serialized_once_until_it_changes() -> None:
    shape = Shape()
    write = SerializedRowCache(shape)
    texts = [orjson.dumps(write(Row(UUID(int=7), name), "x")) for name in ("a", "a", "b", "b", "a")]
    assert shape.made == ["a", "b", "a"]
    assert orjson.loads(texts[1]) == {"name": "a", "more": "x"}
    assert texts == [texts[0], texts[0], texts[2], texts[2], texts[0]]


def test_long_rows_are_not_cached() -> None:
    shape = Shape()
    write = SerializedRowCache(shape)
    for _ in range(2):
        write(Row(UUID(int=7), "a" * lists.MAX_CACHED_BYTES))
    assert len(shape.made) == 2


def test_number_of_cached_rows_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "MAX_CACHED_ROWS", 2)
    shape = Shape()
    write = SerializedRowCache(shape)
    for number in (1, 2, 3, 1):
        write(Row(UUID(int=number), "a"))
    assert len(shape.made) == 4

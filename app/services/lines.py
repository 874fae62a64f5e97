"""Lists as files: CSV that is safe to open in a spreadsheet, and lines of JSON."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from app.errors import InvalidRequest
from app.services.listing import Listing

MAX_ROWS = 100_000
TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets take for more than text
_CHUNK = 32_768

Item = Mapping[str, Any]
Path = Sequence[str]  # of keys, to a value


def every(listing: Listing, of: Callable[[Any], Item]) -> Iterator[Item]:
    """All of the list, read while it is gone through; ``of``: what is to be told of a row.

    raises  InvalidRequest at once for more than MAX_ROWS rows
    """
    if listing.exceeds(MAX_ROWS):
        message = f"more than {MAX_ROWS} rows; narrow the list, by from and to for example"
        raise InvalidRequest([{"field": "format", "code": "too_many_rows", "message": message}])
    return (of(row) for row in listing.every(MAX_ROWS))


def of_csv(columns: Sequence[Path], items: Iterable[Item]) -> Iterator[str]:
    """A table with a head, many lines at a time."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([".".join(path) for path in columns])
    for item in items:
        writer.writerow([_cell(item, path) for path in columns])
        if buffer.tell() > _CHUNK:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def of_json(items: Iterable[Item]) -> Iterator[bytes]:
    """An object on each line."""
    for item in items:
        yield orjson.dumps(item) + b"\n"


def _cell(item: Item, path: Path) -> Any:
    value: Any = item
    for key in path:
        value = value[key]
    if isinstance(value, list | dict):
        value = orjson.dumps(value).decode()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value

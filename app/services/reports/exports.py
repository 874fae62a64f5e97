"""Lists as files: CSV that is safe to open in a spreadsheet, and NDJSON."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from app.errors import InvalidRequest
from app.services.core.listing import Listing

MAX_ROWS = 100_000
TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
_FORMULA = "=+@\uff1d\uff0b\uff0d\uff20-"  # how a formula starts; the full-width forms count too
_SEPARATORS = ";\t\r\n"
_IGNORED = ' "\0\xa0\u200b\ufeff'  # a spreadsheet may drop these before it reads the cell
# Where the separator is a semicolon, the quotes of all but the first cell of a line do not count,
# so that a separator within the text starts another cell.
_INNER_FORMULA = re.compile(rf"([{_SEPARATORS}][{_IGNORED}]*)(?=[{_FORMULA}])")
_CHUNK = 32_768

Item = Mapping[str, Any]
Path = Sequence[str]  # of keys, to a value


def iterate(listing: Listing, of: Callable[[Any], Item]) -> Iterator[Item]:
    """Return all rows of the list, read while they are iterated; ``of`` converts a row.

    raises  InvalidRequest immediately for more than MAX_ROWS rows
    """
    if listing.exceeds(MAX_ROWS):
        message = f"more than {MAX_ROWS} rows; narrow the list, for example with from and to"
        raise InvalidRequest.field("format", message, "too_many_rows")
    return (of(row) for row in listing.iterate(MAX_ROWS))


def csv_lines(columns: Sequence[Path], items: Iterable[Item]) -> Iterator[str]:
    """Return a table with a header row, many lines at a time; every cell is quoted."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    writer.writerow([".".join(path) for path in columns])
    for item in items:
        writer.writerow([_cell(item, path) for path in columns])
        if buffer.tell() > _CHUNK:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def ndjson_lines(items: Iterable[Item]) -> Iterator[bytes]:
    """Return an object on each line."""
    for item in items:
        yield orjson.dumps(item) + b"\n"


def safe_cell(text: str) -> str:
    """Return the text with an apostrophe wherever a spreadsheet would otherwise start a formula."""
    text = _INNER_FORMULA.sub(r"\1'", text)
    if text.lstrip(_IGNORED).startswith((*_FORMULA, *_SEPARATORS)):
        return f"'{text}"
    return text


def _cell(item: Item, path: Path) -> Any:
    value: Any = item
    for key in path:
        value = value[key] if value is not None else None
    if isinstance(value, list | tuple | dict):
        value = orjson.dumps(value).decode()
    return safe_cell(value) if isinstance(value, str) else value

"""Lists as files: CSV and lines of JSON, streamed, and safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import orjson
from flask import Response, request
from pydantic.fields import FieldInfo

from app.api import answers, inputs
from app.api.contract import Shape
from app.errors import InvalidRequest
from app.services.listing import Listing

MAX_ROWS = 100_000
CSV, NDJSON = "text/csv", "application/x-ndjson"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets take for more than text

Data = Mapping[str, Any]


class Exportable(inputs.Listing):
    """A list that is to be had as a file too; then without ``limit`` and ``cursor``."""

    format: Literal["json", "csv", "ndjson"] | None = None


def answer(
    listing: Listing, query: Exportable, shape: type[Shape], of: Callable[[Any], Data], name: str
) -> Response:
    """A page of the list, or all of it as a file, by ``format`` or else by Accept.

    of      a row as it is on the wire
    raises  InvalidRequest for a file of more than MAX_ROWS rows
    """
    wanted = query.format or _accepted()
    if wanted == "json":
        rows, place = listing.page(answers.place(query), query.limit)
        return answers.many([of(row) for row in rows], query, place)
    if listing.exceeds(MAX_ROWS):
        message = f"more than {MAX_ROWS} rows; narrow the list, by from and to for example"
        raise InvalidRequest([{"field": "format", "code": "too_many_rows", "message": message}])
    data = (of(row) for row in listing.every(MAX_ROWS))
    lines = _csv(shape, data) if wanted == "csv" else map(_line, data)
    kind = f"{CSV}; charset=utf-8" if wanted == "csv" else NDJSON
    response = Response(lines, content_type=kind)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{wanted}"'
    response.vary.add("Accept")
    return response


def _accepted() -> str:
    best = request.accept_mimetypes.best_match(["application/json", CSV, NDJSON])
    return {CSV: "csv", NDJSON: "ndjson"}.get(best or "", "json")


def _line(item: Data) -> bytes:
    return orjson.dumps(item) + b"\n"


def _csv(shape: type[Shape], data: Iterator[Data]) -> Iterator[str]:
    columns = list(_columns(shape))
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([".".join(path) for path in columns])
    for item in data:
        writer.writerow([_cell(item, path) for path in columns])
        if buffer.tell() > 32_768:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _columns(shape: type[Shape]) -> Iterator[Sequence[str]]:
    """A path for each value of the shape; lists and free objects are one value each."""
    for name, field in shape.model_fields.items():
        key = field.alias or name
        inner = _shape_of(field)
        if inner is None:
            yield (key,)
        else:
            yield from ((key, *path) for path in _columns(inner))


def _shape_of(field: FieldInfo) -> type[Shape] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Shape) else None


def _cell(item: Data, path: Sequence[str]) -> Any:
    value: Any = item
    for key in path:
        value = value[key]
    if isinstance(value, list | dict):
        value = orjson.dumps(value).decode()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value

"""Exports of lists as streamed CSV or NDJSON files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import orjson
from flask import Response, request
from pydantic import Field
from pydantic.fields import FieldInfo

from app.api.http import fields, lists, slots
from app.api.http.auth import current
from app.api.http.endpoint import JSON, Schema
from app.services.audit import audit_log
from app.services.core.listing import Listing
from app.services.reports import exports

CSV, NDJSON = exports.TYPES["csv"], exports.TYPES["ndjson"]

Data = Mapping[str, Any]
Format = Literal["json", "csv", "ndjson"]


class Exportable(fields.Listing):
    """A list that is also available as a file, without ``limit`` and ``cursor``."""

    format: Format | None = Field(
        default=None, description="The format: one page as JSON, or all rows as CSV or NDJSON."
    )


class ExportablePeriod(Exportable, fields.PeriodQuery):
    """Such a list within a period."""


@dataclass(frozen=True, slots=True)
class Table:
    """How the rows of a list are exported.

    name       of the file, without its suffix
    schema     its fields are the columns of CSV
    serialize  returns a row as JSON
    """

    name: str
    schema: type[Schema]
    serialize: Callable[[Any], Data]


def answer(
    listing: Listing,
    query: Exportable,
    table: Table,
    cache: Callable[[Any], orjson.Fragment] | None = None,
) -> Response:
    """Return a page of the list, or the whole list as a file, by ``format`` or by Accept.

    cache   serializes the rows of a page faster than the table does
    raises  InvalidRequest for a list with too many rows for a file
    """
    format = format_of(query)
    if format == "json":
        return lists.page(query, listing.page, cache or table.serialize)
    return file(listing, query, table, format)


def format_of(query: Exportable) -> Format:
    """Return the requested format: the parameter ``format``, or else that of Accept."""
    return query.format or _accepted()


def file(listing: Listing, query: Exportable, table: Table, format: Format) -> Response:
    """Return the whole list as a file.

    raises  InvalidRequest for a list with too many rows for a file
    """
    is_csv = format == "csv"
    name = f"{table.name}.{format}"

    def start() -> Iterator[Any]:
        data = exports.iterate(listing, table.serialize)
        _record(name, query.model_dump(mode="json", by_alias=True, exclude_none=True))
        if is_csv:
            return exports.csv_lines(list(_columns(table.schema)), data)
        return exports.ndjson_lines(data)

    body = slots.all_slots().stream(slots.export(), start)
    response = Response(body, content_type=f"{CSV}; charset=utf-8" if is_csv else NDJSON)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.vary.add("Accept")
    return response


def _record(name: str, filters: Data) -> None:
    caller = current()
    audit_log.record_read(
        caller.account_id, actor=caller.actor, action="export.created", target=name, filters=filters
    )


def _accepted() -> Format:
    if request.environ.get("HTTP_ACCEPT", "*/*") in ("*/*", JSON):
        return "json"
    best = request.accept_mimetypes.best_match([JSON, CSV, NDJSON])
    return "csv" if best == CSV else "ndjson" if best == NDJSON else "json"


def _columns(schema: type[Schema]) -> Iterator[Sequence[str]]:
    """Yield the path of each value of the schema; a list or free object is one value."""
    for name, field in schema.model_fields.items():
        key = field.alias or name
        inner = _schema_of(field)
        if inner is None:
            yield (key,)
        else:
            yield from ((key, *path) for path in _columns(inner))


def _schema_of(field: FieldInfo) -> type[Schema] | None:
    """Return the schema of a nested object, also of one that can be null."""
    is_union = get_origin(field.annotation) is UnionType
    options = get_args(field.annotation) if is_union else (field.annotation,)
    schemas = [option for option in options if option is not type(None)]
    is_schema = len(schemas) == 1 and isinstance(schemas[0], type)
    return schemas[0] if is_schema and issubclass(schemas[0], Schema) else None

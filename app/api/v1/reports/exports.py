"""Exports of lists as streamed CSV or NDJSON files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from flask import Response, request
from pydantic import Field
from pydantic.fields import FieldInfo

from app.api.http import fields, lists, slots
from app.api.http.auth import current
from app.api.http.endpoint import Schema
from app.services.audit import audit_log
from app.services.core.listing import Listing
from app.services.reports import exports

CSV, NDJSON = exports.TYPES["csv"], exports.TYPES["ndjson"]

Data = Mapping[str, Any]


class Exportable(fields.Listing):
    """A list that is also available as a file, without ``limit`` and ``cursor``."""

    format: Literal["json", "csv", "ndjson"] | None = Field(
        default=None, description="The format: one page as JSON, or all rows as CSV or NDJSON."
    )


def answer(
    listing: Listing,
    query: Exportable,
    schema: type[Schema],
    serialize: Callable[[Any], Data],
    name: str,
) -> Response:
    """Return a page of the list, or the whole list as a file, by ``format`` or by Accept.

    serialize  returns a row as JSON
    raises     InvalidRequest for a list with too many rows for a file
    """
    format = query.format or _accepted()
    if format == "json":
        return lists.page(query, listing.page, serialize)
    is_csv = format == "csv"

    def start() -> Iterator[Any]:
        data = exports.iterate(listing, serialize)
        filters = query.model_dump(mode="json", by_alias=True, exclude_none=True)
        _record(f"{name}.{format}", filters)
        return (
            exports.csv_lines(list(_columns(schema)), data)
            if is_csv
            else exports.ndjson_lines(data)
        )

    body = slots.all_slots().stream(slots.export(), start)
    response = Response(body, content_type=f"{CSV}; charset=utf-8" if is_csv else NDJSON)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{format}"'
    response.vary.add("Accept")
    return response


def _record(name: str, filters: Data) -> None:
    caller = current()
    audit_log.record_read(
        caller.account_id, actor=caller.actor, action="export.created", target=name, filters=filters
    )


def _accepted() -> str:
    best = request.accept_mimetypes.best_match(["application/json", CSV, NDJSON])
    return {CSV: "csv", NDJSON: "ndjson"}.get(best or "", "json")


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
    type_ = field.annotation
    return type_ if isinstance(type_, type) and issubclass(type_, Schema) else None

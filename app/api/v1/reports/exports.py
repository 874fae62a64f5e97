"""Lists as files: CSV and lines of JSON, streamed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from flask import Response, request
from pydantic.fields import FieldInfo

from app.api.http import fields, lists, slots
from app.api.http.auth import current
from app.api.http.endpoint import Schema
from app.services.core import audit_log
from app.services.core.listing import Listing
from app.services.reports import exports

CSV, NDJSON = exports.TYPES["csv"], exports.TYPES["ndjson"]

Data = Mapping[str, Any]


class Exportable(fields.Listing):
    """A list that is to be had as a file too; then without ``limit`` and ``cursor``."""

    format: Literal["json", "csv", "ndjson"] | None = None


def answer(
    listing: Listing, query: Exportable, shape: type[Schema], of: Callable[[Any], Data], name: str
) -> Response:
    """A page of the list, or all of it as a file, by ``format`` or else by Accept.

    of      a row as it is on the wire
    raises  InvalidRequest for a file of more rows than one may have
    """
    wanted = query.format or _accepted()
    if wanted == "json":
        return lists.page(query, listing.page, of)
    is_csv = wanted == "csv"

    def start() -> Iterator[Any]:
        data = exports.iterate(listing, of)
        filters = query.model_dump(mode="json", by_alias=True, exclude_none=True)
        _record(f"{name}.{wanted}", filters)
        return (
            exports.csv_lines(list(_columns(shape)), data) if is_csv else exports.ndjson_lines(data)
        )

    body = slots.all_slots().stream(slots.export(), start)
    response = Response(body, content_type=f"{CSV}; charset=utf-8" if is_csv else NDJSON)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{wanted}"'
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


def _columns(shape: type[Schema]) -> Iterator[Sequence[str]]:
    """A path for each value of the shape; lists and free objects are one value each."""
    for name, field in shape.model_fields.items():
        key = field.alias or name
        inner = _shape_of(field)
        if inner is None:
            yield (key,)
        else:
            yield from ((key, *path) for path in _columns(inner))


def _shape_of(field: FieldInfo) -> type[Schema] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Schema) else None

"""The decorator for views: it declares scopes, input and output, and parses the input.

The OpenAPI document and the tests read the same declarations, so they always match the views.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from flask import Response, current_app, request
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails
from werkzeug.exceptions import NotAcceptable, UnsupportedMediaType

from app.api.http import compression, idempotency
from app.errors import InvalidRequest
from app.services.reports import exports

MAX_ERRORS = 50
JSON, BYTES = "application/json", "application/octet-stream"

V = TypeVar("V", bound=Callable[..., Any])


class Schema(BaseModel):
    """JSON in a request or response, with field names in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Body(Schema):
    """The JSON of a request: unknown fields are errors, and types are not converted."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, hide_input_in_errors=True
    )


class Query(Body):
    """The parameters of a query string."""


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """The input and output of one view.

    view          the function itself, which takes path arguments, ``body`` and ``query``
    scopes        any one of them is enough; empty: any key
    is_public     no key is required
    returns       the schema of ``data``; None: no body
    is_list       ``data`` is a list of ``returns``, with ``meta.pagination``
    also          further success statuses with the same schema
    takes_file    content types of a body that is a file, the most usual one first
    takes_form    the file can also be sent as a part of a form
    returns_file  the response is a file
    media_type    of that file
    exports       the list is also available as CSV and NDJSON
    array         the body is a JSON array of these, which the view reads after checking a signature
    is_bare       the response is a JSON array of ``returns``, without the envelope
    is_plain      the response is ``returns``, without the envelope
    has_location  the response has the URL of the created resource in ``Location``
    token         the security scheme of a public route that has its own token
    errors        error statuses of this route, besides those that follow from its other fields
    is_operation  the route is in the OpenAPI document
    """

    summary: str
    view: Callable[..., Response]
    scopes: tuple[str, ...] = ()
    is_public: bool = False
    body: type[Body] | None = None
    is_body_optional: bool = False
    query: type[Query] | None = None
    returns: type[BaseModel] | None = None
    is_list: bool = False
    status: int = 200
    also: tuple[int, ...] = ()
    takes_file: tuple[str, ...] = ()
    takes_form: bool = False
    returns_file: bool = False
    media_type: str = BYTES
    exports: bool = False
    array: type[Body] | None = None
    is_bare: bool = False
    is_plain: bool = False
    has_location: bool = False
    token: str | None = None
    errors: tuple[int, ...] = ()
    is_operation: bool = True


ENDPOINTS: dict[Any, EndpointSpec] = {}  # by view function


def endpoint(**fields: Any) -> Callable[[V], V]:
    """Return a decorator for a view that takes path arguments, ``body`` and ``query``.

    fields  those of EndpointSpec; its summary is the first line of the view's docstring
    """

    def decorate(view: V) -> V:
        summary = (view.__doc__ or "").strip().partition("\n")[0]
        spec = EndpointSpec(summary=summary.removesuffix("."), view=view, **fields)

        @functools.wraps(view)
        def wrapped(**arguments: Any) -> Response:
            if spec.query is not None:
                arguments["query"] = read_query(spec.query)
            elif request.query_string and request.args:
                raise InvalidRequest([_unknown(name) for name in sorted(request.args)])
            # Reading the body of every POST enforces MAX_CONTENT_LENGTH.
            raw = b"" if request.method == "GET" else request.get_data()
            _check_accept(spec)
            if spec.body is not None:
                arguments["body"] = read_body(spec.body, raw, spec.is_body_optional)
            response: Response = idempotency.once(raw, lambda: view(**arguments))
            is_plain_file = spec.returns_file and spec.media_type == BYTES
            return response if is_plain_file else compression.compressed(response)

        ENDPOINTS[wrapped] = spec
        return wrapped  # type: ignore[return-value]  # the same view, with its input read

    return decorate


def media_types(spec: EndpointSpec) -> tuple[str, ...]:
    """Return the types of a successful response; empty if it has no body."""
    if spec.returns_file:
        return (spec.media_type,)
    if spec.returns is None:
        return ()
    return (JSON, *exports.TYPES.values()) if spec.exports else (JSON,)


def _check_accept(spec: EndpointSpec) -> None:
    """Refuse a request whose response would have no type that it accepts.

    A report file is stored whatever its sender accepts.

    raises  NotAcceptable
    """
    accept = request.environ.get("HTTP_ACCEPT", "*/*")
    if accept == "*/*" or spec.takes_file or not (types := media_types(spec)):
        return
    if accept in types:
        return
    if request.accept_mimetypes.best_match(types) is None:
        raise NotAcceptable(f"The response cannot be {accept[:200]}. Available: {', '.join(types)}")


def spec_of(endpoint: str | None) -> EndpointSpec:
    """Return the declaration of the view of a Flask endpoint.

    raises  RuntimeError for a view without one, so that it is never served without a key
    """
    spec = ENDPOINTS.get(current_app.view_functions.get(endpoint or ""))
    if spec is None:
        raise RuntimeError(f"view {endpoint} is not declared as an endpoint")
    return spec


M = TypeVar("M", bound=Body)


def read_body(schema: type[M], raw: bytes, is_optional: bool) -> M:
    """Return the JSON of the request.

    raises  InvalidRequest with every error; UnsupportedMediaType if its type is not JSON
    """
    if not raw and is_optional:
        return schema()
    _parsed(raw)
    try:
        return schema.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise InvalidRequest(_errors(error)) from None


def read_array(schema: type[M], raw: bytes, maximum: int) -> list[M]:
    """Return the items of a body that is a JSON array.

    raises  InvalidRequest with every error, also for more items than ``maximum``;
            UnsupportedMediaType if its type is not JSON
    """
    items = _parsed(raw)
    if not isinstance(items, list) or len(items) > maximum:
        message = f"an array of up to {maximum} items is expected"
        raise InvalidRequest.field("body", message)
    try:
        return TypeAdapter(list[schema]).validate_json(raw, strict=True)  # type: ignore[valid-type]
    except ValidationError as error:
        raise InvalidRequest(_errors(error)) from None


def _parsed(raw: bytes) -> Any:
    if request.mimetype != JSON:
        raise UnsupportedMediaType("Send JSON, with Content-Type: application/json")
    try:
        return orjson.loads(raw)  # refuses deep nesting, NaN and lone surrogates, and quickly
    except orjson.JSONDecodeError as error:
        raise InvalidRequest.field("body", f"not JSON: {error}", "malformed") from None


Q = TypeVar("Q", bound=Query)


def read_query(schema: type[Q]) -> Q:
    """Return the parameters of the query string.

    raises  InvalidRequest for unknown, repeated and invalid parameters
    """
    parameters = request.args.to_dict(flat=False)
    if repeated := [name for name, values in parameters.items() if len(values) > 1]:
        message = "the parameter is repeated"
        raise InvalidRequest(
            [{"field": name, "code": "repeated", "message": message} for name in repeated]
        )
    try:
        return schema.model_validate({name: values[0] for name, values in parameters.items()})
    except ValidationError as error:
        raise InvalidRequest(_errors(error)) from None


def _errors(error: ValidationError) -> list[Mapping[str, str]]:
    items = error.errors(include_url=False, include_context=False, include_input=False)
    return [_error(item) for item in items[:MAX_ERRORS]]


def _error(item: ErrorDetails) -> Mapping[str, str]:
    field = _path(item["loc"]) or "body"
    if item["type"] == "extra_forbidden":
        return _unknown(field)
    code = "missing" if item["type"] == "missing" else "invalid"
    return {"field": field, "code": code, "message": item["msg"].removeprefix("Value error, ")}


def _path(location: Sequence[int | str]) -> str:
    """Return the path of a field, such as ``domains[0].name``."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".")[:200]


def _unknown(name: str) -> Mapping[str, str]:
    return {"field": name[:200], "code": "unknown", "message": "unknown parameter"}

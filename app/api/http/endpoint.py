"""What a view promises: its scopes, what it reads and what it answers; and how both are read.

The decorator ``endpoint`` is all there is to a view's plumbing. The OpenAPI document and the
tests read the same contract, so that they cannot differ from what is done.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from flask import Response, current_app, request
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from werkzeug.exceptions import UnsupportedMediaType

from app.api.http import idempotency
from app.errors import InvalidRequest

MAX_ERRORS = 50

V = TypeVar("V", bound=Callable[..., Any])


class Schema(BaseModel):
    """A thing on the wire, as the documents describe it."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Body(Schema):
    """What a client sends: nothing unknown, and every type exactly."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, hide_input_in_errors=True
    )


class Query(Body):
    """The parameters of a query string."""


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """One view's contract.

    scopes   any one of them is enough; empty: any key
    is_public  no key is needed
    returns  the shape of ``data``; None: no body
    is_list  ``data`` is a list of them, with ``meta.pagination``
    also     further statuses of success with the same shape
    takes_file  the body is a file of any type; returns_file: so is the answer
    exports     the list is to be had as CSV and as lines of JSON too
    array       the body is a JSON array of these, which the view reads after checking a signature
    is_bare     the answer is a JSON array of ``returns``, without the envelope
    """

    summary: str
    scopes: tuple[str, ...] = ()
    is_public: bool = False
    body: type[Body] | None = None
    is_body_optional: bool = False
    query: type[Query] | None = None
    returns: type[Schema] | None = None
    is_list: bool = False
    status: int = 200
    also: tuple[int, ...] = ()
    takes_file: bool = False
    returns_file: bool = False
    exports: bool = False
    array: type[Body] | None = None
    is_bare: bool = False


ENDPOINTS: dict[Any, EndpointSpec] = {}  # by view function


def endpoint(**promised: Any) -> Callable[[V], V]:
    """Make a view of a function that takes the path's parts, and ``body`` and ``query`` if any.

    promised  the fields of Contract; its summary is the docstring's first line
    """

    def decorate(view: V) -> V:
        summary = (view.__doc__ or "").strip().partition("\n")[0]
        contract = EndpointSpec(summary=summary, **promised)

        @functools.wraps(view)
        def wrapped(**parts: Any) -> Response:
            if contract.query is not None:
                parts["query"] = read_query(contract.query)
            elif request.query_string and request.args:
                raise InvalidRequest([_unknown(name) for name in sorted(request.args)])
            # Within MAX_CONTENT_LENGTH; so that every POST is bounded.
            raw = b"" if request.method == "GET" else request.get_data()
            if contract.body is not None:
                parts["body"] = read_body(contract.body, raw, contract.is_body_optional)
            answer: Response = idempotency.once(raw, lambda: view(**parts))
            return answer

        ENDPOINTS[wrapped] = contract
        return wrapped  # type: ignore[return-value]  # the same view, with its input read

    return decorate


def spec_of(endpoint: str | None) -> EndpointSpec:
    """The contract of the view behind a Flask endpoint.

    raises  RuntimeError for a view without one: it answers 500 rather than open
    """
    contract = ENDPOINTS.get(current_app.view_functions.get(endpoint or ""))
    if contract is None:
        raise RuntimeError(f"view {endpoint} declares no contract")
    return contract


M = TypeVar("M", bound=Body)


def read_body(shape: type[M], raw: bytes, is_optional: bool) -> M:
    """The request's JSON.

    raises  InvalidRequest with every complaint; UnsupportedMediaType if it is no JSON by its type
    """
    if not raw and is_optional:
        return shape()
    _parsed(raw)
    try:
        return shape.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise InvalidRequest(_errors(error)) from None


def read_array(shape: type[M], raw: bytes, maximum: int) -> list[M]:
    """The items of a body that is a JSON array.

    raises  InvalidRequest with every error, also for more items than ``maximum``;
            UnsupportedMediaType if its type is not JSON
    """
    items = _parsed(raw)
    if not isinstance(items, list) or len(items) > maximum:
        message = f"an array of up to {maximum} items is expected"
        raise InvalidRequest.field("body", message)
    try:
        return TypeAdapter(list[shape]).validate_json(raw, strict=True)  # type: ignore[valid-type]
    except ValidationError as error:
        raise InvalidRequest(_errors(error)) from None


def _parsed(raw: bytes) -> Any:
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send JSON, with Content-Type: application/json")
    try:
        return orjson.loads(raw)  # refuses deep nesting, NaN and lone surrogates, and quickly
    except orjson.JSONDecodeError as error:
        raise InvalidRequest.field("body", f"not JSON: {error}", "malformed") from None


Q = TypeVar("Q", bound=Query)


def read_query(shape: type[Q]) -> Q:
    """The query string's parameters.

    raises  InvalidRequest for unknown, repeated and bad ones
    """
    given = request.args.to_dict(flat=False)
    if repeated := [name for name, values in given.items() if len(values) > 1]:
        message = "given more than once"
        raise InvalidRequest(
            [{"field": name, "code": "repeated", "message": message} for name in repeated]
        )
    try:
        return shape.model_validate({name: values[0] for name, values in given.items()})
    except ValidationError as error:
        raise InvalidRequest(_errors(error)) from None


def _errors(error: ValidationError) -> list[Mapping[str, str]]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        {
            "field": ".".join(map(str, item["loc"]))[:200] or "body",
            "code": {"missing": "missing", "extra_forbidden": "unknown"}.get(
                item["type"], "invalid"
            ),
            "message": item["msg"].removeprefix("Value error, "),
        }
        for item in found[:MAX_ERRORS]
    ]


def _unknown(name: str) -> Mapping[str, str]:
    message = "this route has no such parameter"
    return {"field": name[:200], "code": "unknown", "message": message}

"""The components of the OpenAPI document: schemas, headers, parameters and responses."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.api.docs import pages, runbooks
from app.api.http.endpoint import EndpointSpec
from app.checks import FINDING_TYPES
from app.models.keys import Scope

Json = dict[str, Any]

REF = "#/components/schemas/{model}"
# Names of enumerations that need their module to be understood.
_NAMES = {
    "app__checks__engine__types__Verdict": "CheckVerdict",
    "app__analysis__policy__verdicts__Verdict": "ReadinessVerdict",
    "Status": "ProfileStatus",
    "Result": "SpfResultCode",
    "Match": "DaneMatch",
    "Policy": "DmarcPolicy",
}
ERRORS = {
    304: "The resource is unchanged since the response with this ETag",
    400: "Malformed request or invalid parameters; details lists all errors",
    401: "Missing, malformed, unknown, revoked or expired API key",
    403: "The API key lacks the required scope",
    404: "Not found",
    406: "The response has no type that the request accepts",
    409: "Conflict with an existing resource",
    412: "The resource has changed since it was read (If-Match)",
    413: "The request body is too large",
    415: "The request body is not JSON",
    422: "The Idempotency-Key was used with another request body",
    429: "Rate limit exceeded",
    500: "Internal error",
    503: "Temporarily unavailable; try again",
}
# The name of each response that several operations share.
RESPONSES = {
    304: "NotModified",
    400: "InvalidRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    406: "NotAcceptable",
    409: "Conflict",
    412: "PreconditionFailed",
    413: "PayloadTooLarge",
    415: "UnsupportedMediaType",
    422: "IdempotencyMismatch",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}
HEADERS: Mapping[str, Json] = {
    "X-RateLimit-Limit": {
        "description": "The number of requests per minute.",
        "schema": {"type": "integer"},
        "example": 100,
    },
    "X-RateLimit-Remaining": {
        "description": "The number of requests that remain until the reset.",
        "schema": {"type": "integer"},
        "example": 99,
    },
    "X-RateLimit-Reset": {
        "description": "The time of the reset in Unix seconds.",
        "schema": {"type": "integer"},
        "example": 1796083260,
    },
    "X-Request-Id": {
        "description": "The id of the request. Include it when you contact support.",
        "schema": {"type": "string"},
        "example": "f3b1c2d4e5a60718293a4b5c6d7e8f90",
    },
    "Retry-After": {
        "description": "The number of seconds to wait before the next request.",
        "schema": {"type": "integer"},
        "example": 60,
    },
    "ETag": {
        "description": "The version of the resource, for If-None-Match and If-Match.",
        "schema": {"type": "string"},
        "example": '"1796083200000000-5f2b8a0c9d1e4f37"',
    },
    "Link": {
        "description": 'The URL of the next page with `rel="next"`; missing on the last page.',
        "schema": {"type": "string"},
        "example": '<https://mailwatch.example/v1/domains?cursor=eyJ…>; rel="next"',
    },
    "Location": {
        "description": "The path of the created resource.",
        "schema": {"type": "string"},
        "example": "/v1/scans/scan_01m89c1c75fejbd0y5rzgmfrs0",
    },
    "Idempotent-Replayed": {
        "description": "`true` if this is the stored response to an earlier request.",
        "schema": {"type": "string", "enum": ["true"]},
        "example": "true",
    },
    "WWW-Authenticate": {
        "description": "The authentication scheme.",
        "schema": {"type": "string"},
        "example": "Bearer",
    },
}
EVERY_RESPONSE = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-Id")
PARAMETERS: Mapping[str, Json] = {
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Makes it safe to repeat the request: within 24 hours, the same key gets "
        "the first response again.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        "example": "add-1",
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of an earlier response. You get 304 if nothing has changed.",
        "schema": {"type": "string"},
    },
    "Content-Encoding": {
        "name": "Content-Encoding",
        "in": "header",
        "description": "`gzip` if the body is compressed.",
        "schema": {"type": "string", "enum": ["gzip"]},
    },
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "description": "The ETag of the response that you have read. You get 412 if the resource "
        "has changed since.",
        "schema": {"type": "string"},
    },
}
SECURITY_SCHEMES: Json = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (mp_…) with scopes: " + ", ".join(Scope),
    },
    "uploadToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "An upload token (mu_…) of the account that the address belongs to",
    },
    "metricsToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "The setting METRICS_TOKEN",
    },
}


def ref(name: str) -> Json:
    """Return the reference to a schema."""
    return {"$ref": REF.format(model=name)}


def headers(*names: str) -> Json:
    """Return the headers of a response: those of every response, and these."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*EVERY_RESPONSE, *names)}


def parameter(name: str) -> Json:
    """Return the reference to a parameter."""
    return {"$ref": f"#/components/parameters/{name}"}


def response(status: int) -> Json:
    """Return the reference to a response that several operations share."""
    return {"$ref": f"#/components/responses/{RESPONSES[status]}"}


def components(specs: Mapping[pages.Operation, EndpointSpec], further: Iterable[Any]) -> Json:
    """Return the components that these operations use.

    further  models that no operation returns, such as the bodies of webhooks
    """
    return {
        "schemas": dict(sorted(_schemas(specs, further).items())),
        "responses": {RESPONSES[status]: error(status, text) for status, text in ERRORS.items()},
        "parameters": PARAMETERS,
        "headers": HEADERS,
        "securitySchemes": SECURITY_SCHEMES,
    }


def error(status: int, text: str) -> Json:
    """Return an error response."""
    if status == 304:
        return {"description": text, "headers": headers("ETag")}
    more = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
    return {
        "description": text,
        "headers": headers(*more.get(status, ())),
        "content": {"application/json": {"schema": ref("ErrorResponse")}},
    }


def cleaned(schema: Any) -> Any:
    """Return the schema of pydantic with component names, sentences, and without titles."""
    if isinstance(schema, list):
        return [cleaned(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: cleaned(value) for name, value in schema.items()}
    if isinstance(result.get("title"), str):
        del result["title"]
    if "$ref" in result:
        prefix, _, name = result["$ref"].rpartition("/")
        result["$ref"] = f"{prefix}/{_NAMES.get(name, name)}"
    if "mapping" in result:
        result["mapping"] = {
            key: value for key, value in result["mapping"].items() if isinstance(value, str)
        }
    if isinstance(text := result.get("description"), str):
        result["description"] = sentence(text)
    return result


def with_definitions(model: type[BaseModel]) -> Json:
    """Return the schema of a model, with the schemas that it refers to in ``$defs``."""
    schema = model.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    definitions = schema.pop("$defs", {})
    return {
        **cleaned(schema),
        "$defs": {_NAMES.get(name, name): cleaned(item) for name, item in definitions.items()},
    }


def sentence(text: str) -> str:
    """Return the text with a capital letter and a full stop; code in single back quotes."""
    text = " ".join(text.replace("``", "`").split())
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "`", "?")) else ".")


def _schemas(specs: Mapping[pages.Operation, EndpointSpec], further: Iterable[Any]) -> Json:
    models = {
        model
        for spec in specs.values()
        for model in (spec.body, spec.array, spec.returns)
        if model is not None
    } | set(further)
    inputs: Any = [(model, "validation") for model in sorted(models, key=lambda m: m.__name__)]
    _, definitions = models_json_schema(inputs, by_alias=True, ref_template=REF)
    schemas: Json = {
        _NAMES.get(name, name): cleaned(schema) for name, schema in definitions["$defs"].items()
    }
    for operation, spec in specs.items():
        for model in (spec.body, spec.array):
            if model is not None:
                _describe(schemas[model.__name__], pages.section(operation).parameters)
    schemas["Alert"]["properties"]["type"]["x-extensible-enum"] = [
        *dict.fromkeys(item.type for item in runbooks.runbooks())
    ]
    schemas["Finding"]["properties"]["code"]["x-extensible-enum"] = list(FINDING_TYPES)
    return schemas | _envelopes(specs.values()) | _errors() | _pages()


def _describe(schema: Json, texts: Mapping[str, str]) -> None:
    """Describe the fields of a body with the texts of docs/api."""
    for name, field in schema["properties"].items():
        if name in texts:
            field["description"] = texts[name]


def _envelopes(specs: Iterable[EndpointSpec]) -> Json:
    """Return ``…Response`` for single resources and ``…List`` for lists."""
    schemas: Json = {}
    for spec in specs:
        if spec.returns is None or spec.is_bare or spec.is_plain:
            continue
        name = spec.returns.__name__
        if spec.is_list:
            schemas[f"{name}List"] = _object(
                f"A page of a list of {name} objects.",
                data={"type": "array", "items": ref(name), "description": "The items."},
                meta={**ref("ListMeta"), "description": "Where the page is in the list."},
            )
        else:
            data = {**ref(name), "description": "The resource."}
            schemas[f"{name}Response"] = _object(f"A {name} object.", data=data)
    return schemas


def envelope_of(spec: EndpointSpec, model: type[BaseModel]) -> Json:
    """Return the schema of a response."""
    if spec.is_bare:
        return {"type": "array", "items": ref(model.__name__)}
    if spec.is_plain:
        return ref(model.__name__)
    return ref(model.__name__ + ("List" if spec.is_list else "Response"))


def _object(description: str, *optional: str, **properties: Json) -> Json:
    return {
        "type": "object",
        "description": description,
        "required": [name for name in properties if name not in optional],
        "properties": properties,
    }


def _text(description: str, **more: Any) -> Json:
    return {"type": "string", "description": description, **more}


def _number(description: str) -> Json:
    return {"type": "integer", "description": description}


def _errors() -> Json:
    """Return the schemas of the error envelope."""
    problem = _object(
        "What is wrong with a request.",
        "retryAfter",
        "existingId",
        "details",
        code=_text("The code of the error, to distinguish errors by."),
        message=_text("The error, for people; the text may change."),
        status=_number("The HTTP status."),
        requestId=_text("The id of the request, as in X-Request-Id."),
        retryAfter=_number("The number of seconds after which to try again."),
        existingId=_text("The id of the resource that exists already."),
        details={
            "type": "array",
            "items": ref("FieldError"),
            "description": "All errors of an invalid request.",
        },
    )
    field = _object(
        "An error of one field or parameter.",
        field=_text("The path of the field, such as domains[0].name."),
        code=_text("The code of the error, such as missing, invalid or unknown."),
        message=_text("The error, for people; the text may change."),
    )
    envelope = {**ref("Problem"), "description": "What is wrong."}
    return {
        "ErrorResponse": _object("The envelope of every error.", error=envelope),
        "Problem": problem,
        "FieldError": field,
    }


def _pages() -> Json:
    """Return the schemas of pagination."""
    pagination = _object(
        "Where a page is in the list.",
        limit=_number("The number of items per page."),
        hasMore={"type": "boolean", "description": "Whether there is another page."},
        nextCursor={
            "type": ["string", "null"],
            "description": "The cursor of the next page; null on the last one.",
        },
    )
    place = {**ref("Pagination"), "description": "Where the page is in the list."}
    return {
        "Pagination": pagination,
        "ListMeta": _object("Information about a page.", pagination=place),
    }

"""The OpenAPI 3.1 document, generated from the specifications of the views, and its page."""

import functools
from collections.abc import Mapping
from typing import Any

import orjson
from flask import Blueprint, Flask, Response, current_app, render_template
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from app import settings
from app.api.docs import reference
from app.api.http.endpoint import ENDPOINTS, EndpointSpec, endpoint
from app.api.v1.reports import exports
from app.models.keys import Scope

bp = Blueprint(
    "docs",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/docs/static",  # the plain /static is the application's
)

VERSION = "1"
_REF = "#/components/schemas/{model}"
_ERRORS = {
    400: "Malformed request or invalid parameters; details lists all errors",
    401: "Missing, malformed, unknown, revoked or expired API key",
    403: "The API key lacks the required scope",
    404: "Not found",
    409: "Conflict with an existing resource",
    412: "The resource has changed since it was read (If-Match)",
    413: "The request body is too large",
    415: "The request body is not JSON",
    422: "The Idempotency-Key was used with another request body",
    429: "Rate limit exceeded",
    500: "Internal error",
    503: "Temporarily unavailable; try again",
}
_WITHOUT_KEY = (400, 404, 413, 429, 500, 503)
_SECURITY_SCHEMES = {
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
}
_HEADERS = {
    "X-RateLimit-Limit": {"schema": {"type": "integer"}},
    "X-RateLimit-Remaining": {"schema": {"type": "integer"}},
    "X-RateLimit-Reset": {"schema": {"type": "integer"}, "description": "Unix time in seconds"},
}


@bp.get("/openapi.json")
@endpoint(is_public=True)
def openapi() -> Response:
    """Get the OpenAPI document."""
    body = orjson.dumps(document(current_app))
    return Response(body, content_type="application/json")


@bp.get("/docs")
@endpoint(is_public=True)
def read() -> Response:
    """Read the API reference."""
    spec, base = document(current_app), settings.current().base_url
    groups = reference.groups(spec, base)
    page = render_template("docs.html", document=spec, base=base, groups=groups, errors=_ERRORS)
    response = Response(page, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    return response


@functools.cache
def document(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI document."""
    rules = sorted(
        (
            rule
            for rule in app.url_map.iter_rules()
            if app.view_functions[rule.endpoint] in ENDPOINTS
        ),
        key=lambda rule: rule.rule,
    )
    schemas = _schemas(app, rules)
    paths: dict[str, dict[str, Any]] = {}
    for rule in rules:
        contract = ENDPOINTS[app.view_functions[rule.endpoint]]
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            path = rule.rule.replace("<", "{").replace(">", "}")
            operation = _operation(rule, method, contract)
            paths.setdefault(path, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mailwatch",
            "version": VERSION,
            "description": "mailwatch monitors the email security of domains. Every response has "
            "the headers X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _schemas(app: Flask, rules: list[Rule]) -> dict[str, Any]:
    models = {
        model
        for rule in rules
        if (contract := ENDPOINTS[app.view_functions[rule.endpoint]])
        for model in (contract.body, contract.array, contract.returns)
        if model is not None
    }
    inputs: Any = [(model, "validation") for model in sorted(models, key=lambda m: m.__name__)]
    _, definitions = models_json_schema(inputs, by_alias=True, ref_template=_REF)
    return {**definitions.get("$defs", {}), "Error": _error_schema()}


def _operation(rule: Rule, method: str, contract: EndpointSpec) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{rule.endpoint.replace('.', '_')}_{method.lower()}",
        "summary": contract.summary,
        "tags": [rule.endpoint.split(".")[-2]],
        "parameters": [*_path_parameters(rule), *_query_parameters(contract)],
        "responses": _responses(contract),
    }
    if not contract.is_public:
        scopes = [scope.value for scope in map(Scope, contract.scopes)]
        operation["security"] = [{"key": scopes}]
        if scopes:
            operation["description"] = f"Scope: {' or '.join(scopes)}"
        if method == "POST":
            operation["parameters"].append(
                {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
                }
            )
    if contract.takes_file:
        operation["security"] = [{}, {"uploadToken": []}]
        operation["requestBody"] = {"required": True, "content": {"*/*": {}}}
    if contract.body is not None:
        operation["requestBody"] = {
            "required": not contract.is_body_optional,
            "content": {"application/json": {"schema": _ref(contract.body.__name__)}},
        }
    if contract.array is not None:
        schema = {"type": "array", "items": _ref(contract.array.__name__)}
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _path_parameters(rule: Rule) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in sorted(rule.arguments)
    ]


def _query_parameters(contract: EndpointSpec) -> list[dict[str, Any]]:
    if contract.query is None:
        return []
    schema = contract.query.model_json_schema(by_alias=True, ref_template=_REF)
    inlined = schema.get("$defs", {})
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": _inline(field, inlined),
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _inline(field: Any, definitions: Mapping[str, Any]) -> Any:
    """Return the schema with its references resolved."""
    if isinstance(field, Mapping):
        if "$ref" in field:
            return definitions[field["$ref"].rpartition("/")[2]]
        return {key: _inline(value, definitions) for key, value in field.items()}
    if isinstance(field, list):
        return [_inline(item, definitions) for item in field]
    return field


def _responses(contract: EndpointSpec) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status in (contract.status, *contract.also):
        content = _content(contract)
        responses[str(status)] = {"description": contract.summary, "headers": _HEADERS, **content}
    for status, text in _errors(contract).items():
        response = {
            "description": text,
            "headers": _HEADERS,
            "content": {"application/json": {"schema": _ref("Error")}},
        }
        responses.setdefault(str(status), response)
    return responses


def _errors(contract: EndpointSpec) -> Mapping[int, str]:
    if not contract.is_public:
        return _ERRORS
    errors = {status: _ERRORS[status] for status in _WITHOUT_KEY}
    if contract.takes_file:
        errors |= {
            401: "Invalid upload token for this address",
            415: "The body has a Content-Encoding other than gzip",
        }
    elif contract.body is not None or contract.array is not None:
        errors[415] = _ERRORS[415]
    return errors


def _content(contract: EndpointSpec) -> dict[str, Any]:
    if contract.returns_file:
        return {"content": {contract.media_type: {}}}
    if contract.returns is None:
        return {}
    item = _ref(contract.returns.__name__)
    properties: dict[str, Any] = {"data": item}
    required = ["data"]
    if contract.is_list:
        properties = {"data": {"type": "array", "items": item}, "meta": _META}
        required.append("meta")
    schema: dict[str, Any] = {"type": "object", "required": required, "properties": properties}
    if contract.is_bare:
        schema = {"type": "array", "items": item}
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if contract.exports:
        content |= {kind: {"schema": {"type": "string"}} for kind in (exports.CSV, exports.NDJSON)}
    return {"content": content}


_META = {
    "type": "object",
    "required": ["pagination"],
    "properties": {
        "pagination": {
            "type": "object",
            "required": ["limit", "hasMore", "nextCursor"],
            "properties": {
                "limit": {"type": "integer"},
                "hasMore": {"type": "boolean"},
                "nextCursor": {"type": ["string", "null"]},
            },
        }
    },
}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=name)}


def _error_schema() -> dict[str, Any]:
    error = {
        "type": "object",
        "required": ["code", "message", "status", "requestId"],
        "properties": {
            "code": {"type": "string"},
            "message": {"type": "string"},
            "status": {"type": "integer"},
            "requestId": {"type": "string"},
            "retryAfter": {"type": "integer"},
            "existingId": {"type": "string"},
            "details": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["field", "code", "message"],
                    "properties": {
                        name: {"type": "string"} for name in ("field", "code", "message")
                    },
                },
            },
        },
    }
    return {"type": "object", "required": ["error"], "properties": {"error": error}}

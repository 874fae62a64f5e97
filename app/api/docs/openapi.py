"""The OpenAPI 3.1 document, made of the views' contracts; and a page to read it."""

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
_REFUSALS = {
    400: "The request is malformed; every complaint is in details",
    401: "The key is missing, malformed, unknown, revoked or expired",
    403: "The key lacks the scope",
    404: "Unknown, or another account's",
    409: "In conflict with what is there",
    412: "Changed meanwhile (If-Match)",
    413: "The body is too large",
    415: "The body is not JSON",
    422: "The Idempotency-Key was used with another body",
    429: "Over the rate limit",
    500: "A defect on our side",
    503: "The service cannot answer just now",
}
_WITHOUT_KEY = (400, 404, 413, 429, 500, 503)
_SECURITY_SCHEMES = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key mp_… with scopes: " + ", ".join(Scope),
    },
    "uploadToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "An upload token mu_… of the account that has the address",
    },
}
_HEADERS = {
    "X-RateLimit-Limit": {"schema": {"type": "integer"}},
    "X-RateLimit-Remaining": {"schema": {"type": "integer"}},
    "X-RateLimit-Reset": {"schema": {"type": "integer"}, "description": "Unix seconds"},
}


@bp.get("/openapi.json")
@endpoint(is_public=True)
def openapi() -> Response:
    """This document."""
    body = orjson.dumps(document(current_app))
    return Response(body, content_type="application/json")


@bp.get("/docs")
@endpoint(is_public=True)
def read() -> Response:
    """The document as a page, with calls to this service; it loads nothing from elsewhere."""
    found, base = document(current_app), settings.current().base_url
    groups = reference.groups(found, base)
    page = render_template(
        "docs.html", document=found, base=base, groups=groups, refusals=_REFUSALS
    )
    response = Response(page, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    return response


@functools.cache
def document(app: Flask) -> dict[str, Any]:
    """The whole document as JSON."""
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
            "title": "Mail domain security",
            "version": VERSION,
            "description": "Monitors the email security of domains. Every answer carries "
            "X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset.",
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
    """The schema without references: parameters stand alone."""
    if isinstance(field, Mapping):
        if "$ref" in field:
            return definitions[field["$ref"].rpartition("/")[2]]
        return {key: _inline(value, definitions) for key, value in field.items()}
    if isinstance(field, list):
        return [_inline(item, definitions) for item in field]
    return field


def _responses(contract: EndpointSpec) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status in (contract.status, *contract.also):
        content = _content(contract)
        found[str(status)] = {"description": contract.summary, "headers": _HEADERS, **content}
    for status, words in _refusals(contract).items():
        refusal = {
            "description": words,
            "headers": _HEADERS,
            "content": {"application/json": {"schema": _ref("Error")}},
        }
        found.setdefault(str(status), refusal)
    return found


def _refusals(contract: EndpointSpec) -> Mapping[int, str]:
    if not contract.is_public:
        return _REFUSALS
    found = {status: _REFUSALS[status] for status in _WITHOUT_KEY}
    if contract.takes_file:
        found |= {401: "The upload token is not good for this address", 415: "It has an encoding"}
    elif contract.body is not None or contract.array is not None:
        found[415] = _REFUSALS[415]
    return found


def _content(contract: EndpointSpec) -> dict[str, Any]:
    if contract.returns_file:
        return {"content": {"application/octet-stream": {}}}
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

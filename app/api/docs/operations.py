"""The operations of the OpenAPI document: parameters, bodies, responses and security."""

from collections.abc import Iterator, Mapping
from typing import Any

from werkzeug.routing import Rule

from app.api.docs import components, examples, links, pages
from app.api.docs.components import Json
from app.api.http.endpoint import EndpointSpec, media_types
from app.api.v1 import exports
from app.models.keys import Scope

_PATH = {
    "domain": "The id or the name of the domain.",
    "id": "The id, as in the list or in the response that created the resource.",
    "profile": "The id of the profile.",
    "token": "The last part of the report address of the account.",
}
_NAMES_OF_RESOURCES = {"domain"}  # parameters that can name a missing resource
_UPLOAD_ERRORS = {
    401: "Invalid upload token for this address",
    404: "No account receives reports at this address",
    415: "The body has a Content-Encoding other than gzip",
}
_VERBS = {"index": "list", "show": "get"}
_FILE = {"type": "string", "format": "binary", "description": "The file, unchanged."}
_FORM = {
    "type": "object",
    "description": "Every attached file, and every field with a report or an email, is stored.",
    "properties": {"file": _FILE},
    "additionalProperties": True,
}


def path_of(rule: Rule) -> str:
    """Return the path of a rule as OpenAPI writes it."""
    return rule.rule.replace("<", "{").replace(">", "}")


def operation(rule: Rule, method: str, spec: EndpointSpec) -> Json:
    """Return the operation of a route."""
    key = (method, path_of(rule))
    section = pages.section(key)
    result: Json = {
        "operationId": _operation_id(rule.endpoint, method),
        "summary": spec.summary,
        "description": section.description,
        "tags": [section.page.title],
        "parameters": [*_path_parameters(rule), *_query(spec, section), *_headers(spec, method)],
        "responses": dict(sorted(_responses(key, spec, rule).items())),
        "security": _security(spec),
    }
    if (body := _body(key, spec)) is not None:
        result["requestBody"] = body
    return result


def _operation_id(endpoint: str, method: str) -> str:
    """Return an id such as ``alerts_list``, which generated clients use as a name."""
    *blueprints, function = endpoint.split(".")
    words = function.split("_")
    words = [_VERBS.get(word, word) for word in words]
    prefix = blueprints[-1]
    return "_".join([prefix, *words] if words[0] != prefix else words)


def _security(spec: EndpointSpec) -> list[Json]:
    """Return the alternatives; an empty list for a public route."""
    if not spec.is_public:
        scopes = [scope.value for scope in map(Scope, spec.scopes)]
        return [{"key": [scope]} for scope in scopes] or [{"key": []}]
    if spec.token == "metricsToken":
        return [{spec.token: []}]
    return [{}, {spec.token: []}] if spec.token else []


def _path_parameters(rule: Rule) -> list[Json]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH[name],
            "schema": {"type": "string"},
        }
        for name in sorted(rule.arguments)
    ]


def _query(spec: EndpointSpec, section: pages.Section) -> Iterator[Json]:
    if spec.query is None:
        return
    schema = spec.query.model_json_schema(by_alias=True, ref_template=components.REF)
    definitions = schema.get("$defs", {})
    for name, field in schema.get("properties", {}).items():
        value = _without_null(components.cleaned(_inline(field, definitions)))
        own = value.pop("description", "")
        yield {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": section.parameters.get(name) or own,
            "schema": value,
        }


def _without_null(schema: Json) -> Json:
    """Return the schema of a parameter, which is omitted and never null."""
    options = [item for item in schema.get("anyOf", ()) if item.get("type") != "null"]
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    if rest.get("default", 0) is None:
        del rest["default"]
    return {**options[0], **rest} if len(options) == 1 else schema


def _inline(field: Any, definitions: Mapping[str, Any]) -> Any:
    """Return the schema with its references resolved."""
    if isinstance(field, Mapping):
        if "$ref" in field:
            rest = {name: value for name, value in field.items() if name != "$ref"}
            return {**definitions[field["$ref"].rpartition("/")[2]], **rest}
        return {key: _inline(value, definitions) for key, value in field.items()}
    if isinstance(field, list):
        return [_inline(item, definitions) for item in field]
    return field


def _headers(spec: EndpointSpec, method: str) -> Iterator[Json]:
    if _has_etag(spec) and method == "GET":
        yield components.parameter("If-None-Match")
    if spec.takes_file:
        yield components.parameter("Content-Encoding")
    if 412 in spec.errors:
        yield components.parameter("If-Match")
    if method == "POST" and not spec.is_public:
        yield components.parameter("Idempotency-Key")


def _has_etag(spec: EndpointSpec) -> bool:
    return spec.returns is not None and not (spec.is_list or spec.is_bare or spec.is_plain)


def _body(key: pages.Operation, spec: EndpointSpec) -> Json | None:
    example = examples.examples().get(f"{key[0]} {key[1]}")
    if spec.takes_file:
        content: Json = {kind: {"schema": _FILE} for kind in spec.takes_file}
        if spec.takes_form:
            content["multipart/form-data"] = {"schema": _FORM}
        text = "The file, with any Content-Type, and with Content-Encoding gzip or none."
        return {"required": True, "description": text, "content": content}
    if spec.body is not None:
        schema = components.ref(spec.body.__name__)
    elif spec.array is not None:
        schema = {"type": "array", "items": components.ref(spec.array.__name__)}
    else:
        return None
    media: Json = {"schema": schema}
    if example is not None and "body" in example:
        media["example"] = example["body"]
    return {"required": not spec.is_body_optional, "content": {"application/json": media}}


def _responses(key: pages.Operation, spec: EndpointSpec, rule: Rule) -> Json:
    responses: Json = {}
    recorded = examples.responses(f"{key[0]} {key[1]}")
    for status in (spec.status, *spec.also):
        content = _content(spec, recorded.get(str(status)) or _any_success(recorded))
        names = _success_headers(key[0], spec, status)
        responses[str(status)] = {
            "description": f"{spec.summary}.",
            "headers": components.headers(*names),
            **content,
        }
        if follow := links.links(key):
            responses[str(status)]["links"] = follow
    for status in _errors(key[0], spec, rule):
        own = _UPLOAD_ERRORS.get(status) if spec.takes_file else None
        shared = components.error(status, own) if own else components.response(status)
        responses.setdefault(str(status), shared)
    return responses


def _any_success(recorded: Mapping[str, Any]) -> Any:
    return next((body for status, body in recorded.items() if status < "300"), None)


def _success_headers(method: str, spec: EndpointSpec, status: int) -> Iterator[str]:
    if _has_etag(spec):
        yield "ETag"
    if spec.is_list and spec.query is not None:
        yield "Link"
    if spec.has_location and status == spec.status:
        yield "Location"
    if method == "POST" and not spec.is_public:
        yield "Idempotent-Replayed"
    if status == 503:
        yield "Retry-After"


def _content(spec: EndpointSpec, example: Any) -> Json:
    if spec.returns_file:
        schema: Json = {"type": "string", "format": "binary"}
        if spec.media_type.startswith("text/") or spec.media_type == exports.NDJSON:
            schema = {"type": "string"}
        if spec.media_type.endswith("json") and spec.media_type != exports.NDJSON:
            schema = {"type": "object"}
        return {"content": {spec.media_type: {"schema": schema}}}
    if spec.returns is None:
        return {}
    media: Json = {"schema": components.envelope_of(spec, spec.returns)}
    if example is not None:
        media["example"] = example
    content: Json = {"application/json": media}
    if spec.exports:
        content |= {kind: {"schema": {"type": "string"}} for kind in (exports.CSV, exports.NDJSON)}
    return {"content": content}


def _errors(method: str, spec: EndpointSpec, rule: Rule) -> set[int]:
    """Return the error statuses that the operation can have, and 304."""
    has_body = spec.body is not None or spec.array is not None
    needs_key, takes_body = not spec.is_public, has_body or bool(spec.takes_file)
    when = {
        304: _has_etag(spec) and method == "GET",
        400: True,
        401: needs_key or bool(spec.takes_file),
        403: bool(spec.scopes),
        404: bool(rule.arguments) or _names_a_resource(spec),
        406: bool(media_types(spec)) and not spec.takes_file,
        409: needs_key and method == "POST",  # a request with the same Idempotency-Key
        413: method in ("POST", "PATCH"),
        415: takes_body,
        422: needs_key and method == "POST",
        429: needs_key or takes_body,
        500: True,
        503: needs_key or takes_body,
    }
    return {status for status, is_possible in when.items() if is_possible} | set(spec.errors)


def _names_a_resource(spec: EndpointSpec) -> bool:
    models = [model for model in (spec.query, spec.body) if model is not None]
    return any(_NAMES_OF_RESOURCES & set(model.model_fields) for model in models)

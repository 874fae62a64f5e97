"""Calls of tools: the arguments, the call of the view, and the schemas of both."""

import functools
from collections.abc import Mapping
from typing import Any

import orjson
from flask import Response, current_app, g, url_for
from pydantic import create_model

from app.api.docs import components, pages
from app.api.http.endpoint import ENDPOINTS, Body, EndpointSpec, read_body
from app.api.mcp import untrusted
from app.api.mcp.tools import Tool

Json = dict[str, Any]

_PAGINATION: Json = {
    "type": "object",
    "description": "Call the tool again with nextCursor as cursor for the next page.",
    "required": ["limit", "hasMore", "nextCursor"],
    "properties": {
        "limit": {"type": "integer"},
        "hasMore": {"type": "boolean"},
        "nextCursor": {"type": ["string", "null"]},
    },
}


def spec_of(tool: Tool) -> EndpointSpec:
    """Return the declaration of the tool's route."""
    return ENDPOINTS[current_app.view_functions[tool.endpoint]]


def call(tool: Tool, arguments: Mapping[str, Any]) -> Json:
    """Return the result of the tool: the data of the route, marked as text from outside.

    raises  InvalidRequest for invalid arguments, and the errors of the route
    """
    spec = spec_of(tool)
    body = read_body(_arguments(tool), orjson.dumps(arguments), is_optional=False)
    path = {name: getattr(body, name) for name in tool.path}
    values: Json = {name: getattr(body, name) for name in tool.query}
    if spec.query is not None:
        path["query"] = _query(spec, values, tool)
    g.list_path = url_for(tool.endpoint, **{name: path[name] for name in tool.path})
    response: Response = spec.view(**path)
    answer = orjson.loads(response.get_data())
    data = answer["data"]
    if tool.shape is not None:
        data = tool.shape(data, {name: getattr(body, name) for name in tool.own or ()})
    result = {"notice": untrusted.NOTICE, "data": untrusted.visible(data)}
    if _is_paged(tool):
        result["pagination"] = answer["meta"]["pagination"]
    return result


def _query(spec: EndpointSpec, values: Json, tool: Tool) -> Any:
    """Return the parameters of the route."""
    schema: Any = spec.query
    named = {schema.model_fields[name].alias: value for name, value in values.items()}
    given = {name: value for name, value in named.items() if value is not None}
    is_exportable = "format" in schema.model_fields
    return schema.model_validate(
        {**given, **(tool.fixed or {}), **({"format": "json"} if is_exportable else {})}
    )


def _is_paged(tool: Tool) -> bool:
    return "cursor" in tool.query


def input_schema(tool: Tool) -> Json:
    """Return the JSON Schema of the arguments, with the descriptions of docs/api."""
    schema = components.with_definitions(_arguments(tool))
    texts = pages.section(("GET", _path_of(tool))).parameters
    for name, field in schema.get("properties", {}).items():
        if name in texts and name not in tool.path:
            field["description"] = texts[name]
        if field.get("default", 0) is None:
            del field["default"]
    schema.pop("description", None)
    return {"properties": {}, **schema}


def output_schema(tool: Tool) -> Json:
    """Return the JSON Schema of the structured content."""
    spec = spec_of(tool)
    model = tool.returns or spec.returns
    if model is None:
        raise RuntimeError(f"the route of {tool.name} returns no JSON")
    schema = _without_descriptions(components.with_definitions(model))
    definitions = schema.pop("$defs")
    is_list = spec.is_list and tool.returns is None
    properties: Json = {
        "notice": {"type": "string"},
        "data": {"type": "array", "items": schema} if is_list else schema,
    }
    if _is_paged(tool):
        properties["pagination"] = _PAGINATION
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "$defs": definitions,
    }


def _path_of(tool: Tool) -> str:
    [rule] = current_app.url_map.iter_rules(tool.endpoint)
    return rule.rule.replace("<", "{").replace(">", "}")


def _without_descriptions(schema: Any) -> Any:
    """Return the schema without descriptions, which are in the API reference.

    Clients put schemas into the context of the model, where every word counts.
    """
    if isinstance(schema, list):
        return [_without_descriptions(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _without_descriptions(value)
        for name, value in schema.items()
        if name != "description" or not isinstance(value, str)
    }


@functools.cache
def _arguments(tool: Tool) -> type[Body]:
    """Return the model of the arguments, with the bounds of the route's parameters."""
    parameters = getattr(spec_of(tool).query, "model_fields", {})
    definitions: Json = {
        name: (type, ...) for name, type in {**tool.path, **(tool.own or {})}.items()
    }
    for name in tool.query:
        definitions[name] = (parameters[name].annotation, parameters[name])
    return create_model("Arguments", __base__=Body, **definitions)

"""The OpenAPI document by resource, with an example call for each route."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

# Values in the examples for fields without an enumeration.
SAMPLES: Mapping[str, Any] = {
    "name": "example.org",
    "domain": "example.org",
    "id": "alert_01h455vb4pex5vsknk084sn02q",
    "address": "192.0.2.1",
}
METHODS = ("get", "post", "patch", "put", "delete")


def groups(document: Mapping[str, Any], base: str) -> Mapping[str, list[dict[str, Any]]]:
    """Return the operations by resource, each also with ``path``, ``method`` and ``curl``.

    base  the address of this service, such as ``https://watch.example``
    """
    resources: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method in METHODS:
            if operation := methods.get(method):
                call = {**resolved(operation, document), "path": path, "method": method.upper()}
                call["curl"] = _curl(call, base, document["components"]["schemas"])
                resources.setdefault(operation["tags"][0], []).append(call)
    return resources


def resolved(operation: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the operation with its parameters and responses instead of references to them."""

    def target(item: Any) -> Any:
        if "$ref" not in item:
            return item
        _, _, kind, name = item["$ref"].split("/")
        return document["components"][kind][name]

    responses = {status: target(item) for status, item in operation["responses"].items()}
    parameters = [target(item) for item in operation.get("parameters", ())]
    return {**operation, "parameters": parameters, "responses": responses}


def sample(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "") -> Any:
    """Return a value that the schema allows, with the required fields only."""
    if "$ref" in schema:
        return sample(schemas[schema["$ref"].rpartition("/")[2]], schemas, name)
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return sample(alternatives[0], schemas, name)
    match schema.get("type"):
        case "object":
            properties: Mapping[str, Any] = schema.get("properties", {})
            names = schema.get("required") or list(properties)[:1]
            return {key: sample(properties[key], schemas, key) for key in names}
        case "array":
            return [sample(schema.get("items", {}), schemas, name.removesuffix("s"))]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
    return schema.get("enum", [SAMPLES.get(name, "…")])[0]


def _curl(call: Mapping[str, Any], base: str, schemas: Mapping[str, Any]) -> str:
    parts = ["curl"]
    if call["method"] != "GET":
        parts.append(f"-X {call['method']}")
    if call.get("security"):
        parts.append('-H "Authorization: Bearer $KEY"')
    content = call.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        body = sample(content["application/json"]["schema"], schemas)
        text = json.dumps(body, ensure_ascii=False)
        parts.append(f'-H "Content-Type: application/json" \\\n  -d {shlex.quote(text)} \\\n ')
    elif content:
        parts.append("--data-binary @report.xml.gz")
    parts.append(base + call["path"].replace("{domain}", SAMPLES["domain"]))
    return " ".join(parts)

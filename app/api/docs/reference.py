"""What the page of the API reference shows: the operations by resource, with samples of code."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.api.docs import samples
from app.api.docs.examples import examples

METHODS = ("get", "post", "patch", "put", "delete")


@dataclass(frozen=True, slots=True)
class Call:
    """An operation as the page shows it.

    operation  as in the document, without references to parameters and responses
    scopes     any of them is enough
    access     who may call it, if not a key with scopes
    samples    code by language
    response   the body of the response as text; None without one
    errors     description by status
    """

    method: str
    path: str
    operation: Mapping[str, Any]
    scopes: Sequence[str]
    access: str
    samples: Mapping[str, str]
    response: str | None
    status: str
    errors: Mapping[str, str]
    fields: Mapping[str, Any]
    required: Sequence[str]


def groups(document: Mapping[str, Any], base: str) -> Mapping[str, list[Call]]:
    """Return the operations by tag, in the order of the tags.

    base  the address of this service, such as ``https://watch.example``
    """
    resources: dict[str, list[Call]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method in METHODS:
            if operation := methods.get(method):
                call = _call(document, method.upper(), path, base)
                resources[operation["tags"][0]].append(call)
    return resources


def _call(document: Mapping[str, Any], method: str, path: str, base: str) -> Call:
    operation = resolved(document["paths"][path][method.lower()], document)
    security = operation["security"]
    scheme = next((name for option in security for name in option), None)
    example = examples().get(f"{method} {path}", {"path": path, "responses": {}})
    status = next((key for key in example["responses"] if key < "300"), "200")
    body = example["responses"].get(status)
    schema = _body_schema(operation, document)
    return Call(
        method=method,
        path=path,
        operation=operation,
        scopes=[scope for option in security for scope in option.get("key", ())],
        access=_access(security),
        samples=samples.samples(method, base, example, scheme),
        response=None if body is None else json.dumps(body, ensure_ascii=False, indent=2),
        status=status,
        errors={
            key: response["description"]
            for key, response in operation["responses"].items()
            if key >= "400"
        },
        fields=schema.get("properties", {}),
        required=schema.get("required", ()),
    )


def _access(security: Sequence[Mapping[str, Any]]) -> str:
    if not security:
        return "Public: no key is required."
    names = [name for option in security for name in option]
    if "uploadToken" in names:
        return "Public; an upload token proves that a report is from the account itself."
    if "metricsToken" in names:
        return "Requires METRICS_TOKEN."
    return "Any API key."


def _body_schema(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of the body, or of the items of an array; empty without one."""
    content = operation.get("requestBody", {}).get("content", {})
    schema: Mapping[str, Any] = content.get("application/json", {}).get("schema", {})
    schema = schema.get("items", schema)
    if "$ref" in schema:
        target: Mapping[str, Any] = document["components"]["schemas"][schema["$ref"].split("/")[-1]]
        return target
    return schema


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

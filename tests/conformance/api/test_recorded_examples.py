"""The examples in the OpenAPI document are the responses of the service.

They are recorded from the examples of docs/api. With ``RECORD_API_EXAMPLES=1``, the test writes
``app/api/docs/examples.json`` instead of comparing it (``python -m devtools.api_examples``).
"""

import json
import os
import re
from typing import Any

import jsonschema
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.api.docs import examples, openapi, pages, reference
from app.settings import Settings
from tests.support import api_scenario
from tests.support.api_scenario import MEANWHILE, Example, Scenario, differences, plain, steps

MOST_ITEMS = 2  # of a list in an example
CODE = re.compile(r"Bearer m[pu]_\w+")
# Operations of which a successful response cannot be recorded: their page has an example.
ON_THE_PAGE = (("POST", "/v1/secret-scanning/alerts"),)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The settings of a production service."""
    return api_scenario.production(settings)


def shortened(value: Any) -> Any:
    """The value with at most MOST_ITEMS items of each list."""
    if isinstance(value, list):
        return [shortened(item) for item in value[:MOST_ITEMS]]
    if isinstance(value, dict):
        return {name: shortened(item) for name, item in value.items()}
    return value


def operation_of(document: Any, method: str, path: str) -> str:
    """The operation of a request, as method and path; a path without parameters comes first."""
    matches = [
        template
        for template, methods in document["paths"].items()
        if method.lower() in methods
        and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path.partition("?")[0])
    ]
    return f"{method} {min(matches, key=lambda template: template.count('{'))}"


def recorded(app: Flask) -> dict[str, Any]:
    """The examples of all operations, from the examples of docs/api."""
    scenario, document = api_scenario.begin(app), openapi.document(app)
    result: dict[str, Any] = {}
    for step in steps():
        if isinstance(step, str):
            MEANWHILE[step](scenario)
            continue
        response = scenario.call(step.command)
        is_operation = response.request.path != "/mcp"  # which the document does not describe
        if is_operation and response.status_code != 304:
            key = operation_of(document, response.request.method, response.request.path)
            example = result.setdefault(key, {"responses": {}})
            record(example, step, response, scenario)
        scenario.remember_ids(response)
    for method, path in ON_THE_PAGE:
        body, answer = map(json.loads, pages.sections()[method, path].json[1:])
        result[f"{method} {path}"] |= {"path": path, "body": body}
        result[f"{method} {path}"]["responses"]["200"] = answer
    return dict(sorted(result.items()))


def record(example: Any, step: Example, response: TestResponse, scenario: Scenario) -> None:
    """Add the response, and the request if it is the first successful one."""
    status, request = str(response.status_code), response.request
    is_first_success = status < "300" and not any(key < "300" for key in example["responses"])
    if status in example["responses"]:
        return
    body = response.json if response.is_json else None
    if request.path == "/openapi.json":
        body = {name: response.json[name] for name in ("openapi", "info")}  # type: ignore[index]
    example["responses"][status] = shortened(body)
    if not is_first_success and "path" in example:
        return
    path = request.path + (f"?{request.query_string.decode()}" if request.query_string else "")
    example["path"] = path.replace(scenario.variables["TOKEN"], "{token}")
    example.pop("body", None)
    if "--json" in step.command:
        example["body"] = json.loads(scenario.sent or "null")
    if file := re.search(r"@(\S+)", step.command):
        example["file"] = file[1]
    if key := request.headers.get("Idempotency-Key"):
        example["headers"] = {"Idempotency-Key": key}


def test_recorded_examples_are_the_responses_of_the_service(app: Flask) -> None:
    real = recorded(app)
    if os.environ.get("RECORD_API_EXAMPLES"):
        text = json.dumps(real, ensure_ascii=False, indent=1)
        examples.PATH.write_text(f"{text}\n")
        examples.examples.cache_clear()
    stored = json.loads(examples.PATH.read_text())
    assert not CODE.search(examples.PATH.read_text()), "the file has a key"
    lines = differences(plain(comparable(stored)), plain(comparable(real)))
    assert not lines, "\n".join(lines)


RANDOM = re.compile(
    r"mp_\w+|mp-verify=\w+|[0-9a-f]{16,}|key:\w{12}|account \d+|-----BEGIN.*", re.DOTALL
)
OPEN = {"logicVersion", "version", "points", "maxPoints", "scoreGain", "workers", "redis", "clock"}
OPEN |= {"requestId", "nextCursor"}


def comparable(value: Any) -> Any:
    """The value without texts that are random, and without states of the test's environment."""
    if isinstance(value, str):
        return RANDOM.sub("random", value)
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, dict):
        return {name: "…" if name in OPEN else comparable(item) for name, item in value.items()}
    return value


def test_every_operation_has_an_example_that_matches_its_schema(app: Flask) -> None:
    document = openapi.document(app)
    missing = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path}"
            example = examples.examples().get(name)
            if example is None:
                missing.append(name)
                continue
            responses = reference.resolved(operation, document)["responses"]
            successes = [status for status in example["responses"] if status < "300"]
            assert successes, f"{name} has no example of a successful response"
            for status, body in example["responses"].items():
                content = responses[status].get("content", {})
                if "application/json" in content and body is not None:
                    check(document, content["application/json"]["schema"], body)
            if "body" in example:
                content = operation["requestBody"]["content"]
                check(document, content["application/json"]["schema"], example["body"])
    assert missing == []


def check(document: Any, schema: Any, value: Any) -> None:
    """Fail if the value does not match the schema."""
    full = {**schema, "components": document["components"]}
    jsonschema.validate(value, full, cls=jsonschema.Draft202012Validator)

"""The OpenAPI 3.1 document, generated from the specifications of the views and from docs/api."""

from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from app import settings
from app.api.docs import components, examples, operations, pages
from app.api.docs.components import Json
from app.api.http.endpoint import ENDPOINTS, EndpointSpec
from app.api.v1.events.schemas import AlertEvent, TestEvent

VERSION = "1"
_DESCRIPTION = (
    "mailwatch monitors the email security of domains. Every response has the headers "
    "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset and X-Request-Id."
)
_WEBHOOK_HEADERS = {
    "webhook-id": "The id of the event; the same for every attempt to deliver it.",
    "webhook-timestamp": "The time of the attempt in Unix seconds.",
    "webhook-signature": "The signatures, as Standard Webhooks specifies them.",
}


def document(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI document, which is generated once for each application."""
    if "openapi" not in app.extensions:
        app.extensions["openapi"] = _generated(app)
    generated: dict[str, Any] = app.extensions["openapi"]
    return generated


def _generated(app: Flask) -> dict[str, Any]:
    rules = sorted(_rules(app), key=lambda item: item[0].rule)
    specs: dict[pages.Operation, EndpointSpec] = {}
    paths: dict[str, Json] = {}
    for rule, spec in rules:
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            path = operations.path_of(rule)
            specs[method, path] = spec
            paths.setdefault(path, {})[method.lower()] = operations.operation(rule, method, spec)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mailwatch",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
            "contact": {"name": "mailwatch", "url": settings.current().base_url},
        },
        "servers": [{"url": settings.current().base_url, "description": "This service"}],
        "tags": [
            {
                "name": page.title,
                "description": page.introduction or components.sentence(page.summary),
            }
            for page in pages.pages()
            if "\n### " in page.text
        ],
        "paths": paths,
        "webhooks": {name: _webhook(name, when) for name, when in pages.event_types().items()},
        "components": components.components(specs, (AlertEvent, TestEvent)),
    }


def _rules(app: Flask) -> list[tuple[Rule, EndpointSpec]]:
    return [
        (rule, spec)
        for rule in app.url_map.iter_rules()
        if (spec := ENDPOINTS.get(app.view_functions[rule.endpoint])) is not None
        and spec.is_operation
    ]


def _webhook(name: str, when: str) -> Json:
    """Return the request that a webhook channel gets for a type of event."""
    schema = components.ref("TestEvent" if name == "test" else "AlertEvent")
    media: Json = {"schema": schema}
    recorded = examples.responses("GET /v1/events").get("200")
    if recorded is not None and name != "test":
        media["example"] = {**recorded["data"][0], "type": name}
    return {
        "post": {
            "operationId": f"webhook_{name.replace('.', '_')}",
            "summary": when.removesuffix("."),
            "description": f"Sent to webhook channels when an event `{name}` happens. Verify the "
            "signature before you use the body, and answer with a status of 2xx.",
            "tags": [page.title for page in pages.pages() if page.slug == "events"],
            "security": [],
            "parameters": [
                {
                    "name": header,
                    "in": "header",
                    "required": True,
                    "description": text,
                    "schema": {"type": "string"},
                }
                for header, text in _WEBHOOK_HEADERS.items()
            ],
            "requestBody": {"required": True, "content": {"application/json": media}},
            "responses": {
                "2XX": {"description": "The event was received."},
                "4XX": {"description": "The event is delivered again later."},
            },
        }
    }

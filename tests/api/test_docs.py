"""The HTML page of the API reference."""

import re

from flask import Flask
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from app.api.docs import reference
from app.api.docs.openapi import document


def test_reference_lists_every_route_and_loads_no_external_resources(app: Flask) -> None:
    caller = app.test_client()
    page = caller.get("/docs")
    assert page.status_code == 200
    assert "/v1/domains/{domain}/scans" in page.text
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert loaded
    for address in loaded:
        assert address.startswith("/"), address
        with caller.get(address) as response:
            assert response.status_code in (200, 303), address  # some want one to sign in


def test_reference_runs_no_scripts(app: Flask) -> None:
    policy = app.test_client().get("/docs").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_every_example_body_matches_its_schema(app: Flask) -> None:
    openapi = document(app)
    schemas = openapi["components"]["schemas"]
    bodies = [
        call["requestBody"]["content"]["application/json"]["schema"]
        for methods in openapi["paths"].values()
        for call in methods.values()
        if "application/json" in call.get("requestBody", {}).get("content", {})
    ]
    assert len(bodies) >= 8
    for schema in bodies:
        whole = {**schema, "components": {"schemas": schemas}}
        Draft202012Validator(whole).validate(reference.sample(schema, schemas))

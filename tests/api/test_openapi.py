"""The OpenAPI document: valid, complete, and correct for any request."""

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as plan
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    response_schema_conformance,
    status_code_conformance,
)

from app.api import paths as api_paths
from app.api.docs import openapi, pages, reference
from app.api.v1.alerts import schemas as alert_schemas
from app.models.keys import Scope
from app.services.ingest import tokens
from app.settings import Settings
from tests.support import api_reports, api_scans
from tests.support.api_client import Client, make_client
from tests.support.factories import ACTOR, make_account

CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]
PLAN = plan(
    max_examples=15,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    return openapi.document(app)


REPORTS = {"tls-rpt": "tls"}  # by the part of the path before the id, where it differs


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every operation by its method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_the_document_is_served_without_a_key(app: Flask, document: dict[str, Any]) -> None:
    assert app.test_client().get("/openapi.json").json == document
    assert app.test_client().get("/docs").status_code == 200


PUBLIC = ("/v1/secret-scanning/alerts", "/v1/keys/report")  # the key is in the body


def test_every_operation_documents_its_security(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        if " /v1/" in name and not name.endswith(PUBLIC):
            assert all(set(option) == {"key"} for option in operation["security"]), name
            assert set(operation["responses"]) >= {"400", "401", "429", "500", "503"}, name
            has_scopes = any(option["key"] for option in operation["security"])
            assert ("403" in operation["responses"]) is has_scopes, name
        elif " /ingest/" in name:
            assert operation["security"] == [{}, {"uploadToken": []}], name
        elif name == "GET /metrics":
            assert operation["security"] == [{"metricsToken": []}]
        else:
            assert operation["security"] == [], name


def test_a_route_for_either_of_two_scopes_has_alternatives(document: dict[str, Any]) -> None:
    security = document["paths"]["/v1/scans"]["get"]["security"]
    assert security == [{"key": ["domains:read"]}, {"key": ["scans:trigger"]}]


def test_only_the_six_scopes_are_documented(document: dict[str, Any]) -> None:
    named = {
        scope
        for operation in operations(document).values()
        for security in operation["security"]
        for scope in security.get("key", ())
    }
    assert named == set(Scope)


def test_every_response_documents_the_common_headers(document: dict[str, Any]) -> None:
    common = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-Id"}
    for name, operation in operations(document).items():
        for status, response in reference.resolved(operation, document)["responses"].items():
            assert set(response["headers"]) >= common, (name, status)
            assert ("Retry-After" in response["headers"]) is (status in ("429", "503")), name


def test_headers_are_documented_where_they_are_sent(document: dict[str, Any]) -> None:
    paths = document["paths"]
    assert "ETag" in paths["/v1/domains/{domain}"]["get"]["responses"]["200"]["headers"]
    assert "304" in paths["/v1/domains/{domain}"]["get"]["responses"]
    assert "Link" in paths["/v1/domains"]["get"]["responses"]["200"]["headers"]
    created = paths["/v1/domains"]["post"]["responses"]["201"]["headers"]
    assert {"Location", "Idempotent-Replayed"} <= set(created)


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    operation_ids = [operation["operationId"] for operation in operations(document).values()]
    assert len(operation_ids) == len(set(operation_ids))
    followers = {
        link["operationId"]
        for operation in operations(document).values()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    }
    assert followers <= set(operation_ids)


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield the schema and every schema in it."""
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from parts(value)
    if isinstance(schema, list):
        for item in schema:
            yield from parts(item)


def test_schemas_can_be_read_by_generators(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert re.fullmatch(r"[A-Z][A-Za-z]+", name), name
        for part in parts(schema):
            assert not isinstance(part.get("default"), dict | list), f"{name} has such a default"
            properties = part.get("properties")
            if isinstance(properties, dict):
                same = [key for key in properties if key.lower() == name.lower()]
                assert not same, f"{name} is the name of its own property"


def test_every_property_and_parameter_has_a_description(document: dict[str, Any]) -> None:
    missing = []
    for name, schema in document["components"]["schemas"].items():
        for key, field in schema.get("properties", {}).items():
            if not field.get("description"):
                missing.append(f"{name}.{key}")
    for name, operation in operations(document).items():
        resolved = reference.resolved(operation, document)
        missing += [
            f"{name}: {item['name']}" for item in resolved["parameters"] if not item["description"]
        ]
        missing += [name for text in ("summary", "description") if not operation[text]]
    assert missing == []


def test_descriptions_are_sentences_without_markup(document: dict[str, Any]) -> None:
    texts = [
        field["description"]
        for schema in document["components"]["schemas"].values()
        for field in schema.get("properties", {}).values()
    ]
    assert [text for text in texts if "](" in text or "``" in text] == []
    assert [text for text in texts if not text[0].isupper() and text[0] != "`"] == []


def test_values_that_are_a_fixed_set_are_enumerations(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for schema, field in (
        ("Alert", "status"),
        ("AlertEvent", "type"),
        ("Domain", "schedule"),
        ("Scan", "status"),
        ("Scan", "trigger"),
        ("ReportFile", "status"),
    ):
        assert schemas[schema]["properties"][field]["enum"], (schema, field)
    assert schemas["Severity"]["enum"] == ["critical", "high", "medium", "low", "info"]
    types = schemas["Alert"]["properties"]["type"]["x-extensible-enum"]
    assert {"score.below_threshold", "spf.multiple_records"} <= set(types)


def test_every_type_of_event_has_a_webhook(document: dict[str, Any]) -> None:
    types = {*get_args(alert_schemas.EventType), "test"}
    assert set(document["webhooks"]) == types
    assert set(pages.event_types()) == types
    event = document["components"]["schemas"]["Event"]
    assert set(event["discriminator"]["mapping"]) == types


def test_report_files_have_a_documented_body(document: dict[str, Any]) -> None:
    content = document["paths"]["/ingest/{token}"]["post"]["requestBody"]["content"]
    assert content["application/octet-stream"]["schema"]["format"] == "binary"
    assert content["multipart/form-data"]["schema"]["properties"]["file"]["format"] == "binary"


def test_the_server_is_the_public_address(document: dict[str, Any], settings: Settings) -> None:
    assert [server["url"] for server in document["servers"]] == [settings.base_url]


def test_every_reserved_word_is_a_route_of_its_own(document: dict[str, Any]) -> None:
    words = {
        path.rpartition("/")[2]
        for path in document["paths"]
        for other in document["paths"]
        if "/{" in other and path.rpartition("/")[0] == other.rpartition("/{")[0]
    }
    assert {word for word in words if "{" not in word} == set(api_paths.RESERVED)


def test_every_tag_is_a_page_of_the_reference(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    assert {operation["tags"][0] for operation in operations(document).values()} == tags
    assert all(tag["description"] for tag in document["tags"])


@pytest.mark.parametrize("value", ["1700000000", "1.5", "0"])
def test_a_number_is_no_time(caller: Client, value: str) -> None:
    response = caller("GET", f"/v1/alerts?from={value}")
    assert response.status_code == 400
    assert "RFC 3339" in response.json["error"]["message"]


@pytest.mark.parametrize("value", [1700000000, "1700000000", 1.5, True])
def test_a_number_in_a_body_is_no_time(caller: Client, value: Any) -> None:
    body = {"domain": "acme.test", "from": value}
    response = caller("POST", "/v1/reports/analytics/simulate", json=body)
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/alerts/batch", "POST"),
        ("/v1/domains/batch", "POST"),
        ("/v1/reports/dmarc/records", "GET"),
        ("/v1/alerts/alert_x", "GET, PATCH"),
        ("/v1/domains/acme.test", "DELETE, GET, PATCH"),
    ],
)
def test_allow_has_the_methods_of_the_documented_path(app: Flask, path: str, allowed: str) -> None:
    caller = app.test_client()
    response = caller.put(path)
    assert response.status_code == 405
    methods = set(response.headers["Allow"].split(", ")) - {"HEAD", "OPTIONS"}
    assert ", ".join(sorted(methods)) == allowed
    for method in {"GET", "PATCH", "POST", "DELETE"} - methods:
        assert caller.open(path, method=method).status_code == 405, method
    options = set(caller.options(path).headers["Allow"].split(", "))
    assert options - {"HEAD", "OPTIONS"} == methods


def test_responses_to_generated_requests_match_the_document(app: Flask) -> None:
    client = make_client(app, make_account().id, rate_limit="1000000 per minute")
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    real = things(client)
    generated: list[Any] = [result.ok() for result in schema.get_all_operations()]  # type: ignore[union-attr]
    for operation in sorted(generated, key=lambda operation: operation.method == "delete"):
        hold(operation, client, real)


def hold(operation: Any, client: Client, real: dict[str, str]) -> None:
    """Send generated requests to the operation, half of them about existing resources."""

    @PLAN
    @given(case=operation.as_strategy(), is_real=st.booleans())
    def holds(case: Any, is_real: bool) -> None:
        if is_real:
            kind = operation.path.partition("/{id}")[0].rpartition("/")[2]
            kind = REPORTS.get(kind, kind)
            case.path_parameters = {
                name: real[kind if name == "id" else name] for name in case.path_parameters or {}
            }
        is_ingest = operation.path.startswith("/ingest/")
        headers = {} if is_ingest else {"Authorization": f"Bearer {client.token}"}
        headers["Accept-Encoding"] = "identity"  # nothing decompresses responses here
        response = case.call(headers=headers)
        case.validate_response(response, checks=CHECKS)

    holds()


def things(client: Client) -> dict[str, str]:
    """Existing resources; ids by the part of the path before them."""
    client("POST", "/v1/domains", json={"name": "acme.test"})
    done = api_scans.scan(client)
    batch = client.data("POST", "/v1/scans", 202, json={"domains": ["acme.test"]})
    alert = client.data("GET", "/v1/alerts?limit=1")[0]
    return {
        "domain": "acme.test",
        "scans": done["id"],
        "scan-batches": batch["id"],
        "alerts": alert["id"],
        "profile": "pci-dss-5-4-1",
        **api_reports.reports(client),
        "token": tokens.create(client.account_id, actor=ACTOR).token,
    }


STEPS = plan(PLAN, max_examples=15, stateful_step_count=8)


def test_sequences_of_requests_match_the_document(app: Flask) -> None:
    """Requests with the ids of earlier responses, along the links of the document."""
    client = make_client(app, make_account().id, rate_limit="1000000 per minute")
    things(client)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    followed: set[str] = set()

    class Workflow(schema.as_state_machine()):  # type: ignore[misc]  # made at run time
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            headers = {"Authorization": f"Bearer {client.token}", "Accept-Encoding": "identity"}
            return {"headers": headers}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            case.validate_response(response, checks=CHECKS)
            if response.status_code < 300:
                followed.add(case.operation.label)

    Workflow.run(settings=STEPS)
    assert any("{id}" in label or "{domain}" in label for label in followed)

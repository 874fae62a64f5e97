"""The OpenAPI document: valid, complete, and correct for any request."""

from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    response_schema_conformance,
    status_code_conformance,
)

from app.api.docs import openapi
from app.models.keys import Scope
from app.services.ingest import tokens
from tests.support import api_reports, api_scans
from tests.support.api_client import Client, make_client
from tests.support.factories import ACTOR, make_account

CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]
REFUSALS = {"400", "401", "403", "404", "409", "412", "413", "415", "422", "429", "503"}
PLAN = settings(
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


def test_every_v1_route_documents_its_key_and_errors(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        if " /v1/" in name and not name.endswith(PUBLIC):
            assert set(operation["security"][0]) == {"key"}, name
            assert set(operation["responses"]) >= REFUSALS, name
        elif " /ingest/" in name:
            assert operation["security"] == [{}, {"uploadToken": []}], name
            assert "401" in operation["responses"], name
        else:
            assert "security" not in operation, name


def test_only_the_six_scopes_are_documented(document: dict[str, Any]) -> None:
    named = {
        scope
        for operation in operations(document).values()
        for security in operation.get("security", ())
        for scope in security.get("key", ())
    }
    assert named <= set(Scope)


def test_every_v1_response_documents_the_rate_limit_headers(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        for status, response in operation["responses"].items():
            if " /v1/" in name:
                assert "X-RateLimit-Remaining" in response["headers"], (name, status)


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    operation_ids = [operation["operationId"] for operation in operations(document).values()]
    assert len(operation_ids) == len(set(operation_ids))


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

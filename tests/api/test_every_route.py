"""Rules for every route: scopes, isolation of accounts, and one error envelope."""

import inspect
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
import trustme
from flask import Flask

from app import ids
from app.api.http.endpoint import ENDPOINTS
from app.models.keys import Scope
from app.services.scans import runner
from tests.support.api_client import ALL, Client, make_client
from tests.support.api_reports import REPORTS, reports
from tests.support.api_scans import BAD
from tests.support.zones import Zone, ZoneNetwork

CERTIFICATE = trustme.CA().cert_pem.bytes().decode()
# How each route with a parameter is called: its body, and what stands for its parameter.
CALLS: dict[tuple[str, str], tuple[Any, str]] = {
    ("GET", "/v1/domains/<domain>"): (None, "domain"),
    ("PATCH", "/v1/domains/<domain>"): ({"tags": ["mine"]}, "domain"),
    ("DELETE", "/v1/domains/<domain>"): (None, "domain"),
    ("POST", "/v1/domains/<domain>/verify"): (None, "domain"),
    ("GET", "/v1/domains/<domain>/dns"): (None, "domain"),
    ("GET", "/v1/domains/<domain>/fixes"): (None, "domain"),
    ("GET", "/v1/domains/<domain>/dns/history"): (None, "domain"),
    ("GET", "/v1/domains/<domain>/profiles"): (None, "domain"),
    ("POST", "/v1/domains/<domain>/spf/evaluate"): ({"ip": "192.0.2.1"}, "domain"),
    ("POST", "/v1/domains/<domain>/dane/evaluate"): ({"certificate": CERTIFICATE}, "domain"),
    ("POST", "/v1/domains/<domain>/plan"): ({"zoneFile": "@ A 192.0.2.1"}, "domain"),
    ("POST", "/v1/domains/<domain>/scans"): (None, "domain"),
    ("GET", "/v1/scans/<id>"): (None, "scan"),
    ("GET", "/v1/scans/<id>/diff"): (None, "scan"),
    ("POST", "/v1/scans/<id>/cancel"): (None, "scan"),
    ("GET", "/v1/scan-batches/<id>"): (None, "batch"),
    ("GET", "/v1/alerts/<id>"): (None, "alert"),
    ("GET", "/v1/alerts/<id>/history"): (None, "alert"),
    ("PATCH", "/v1/alerts/<id>"): ({"status": "acknowledged"}, "alert"),
    ("GET", "/v1/reports/dmarc/<id>"): (None, "dmarc"),
    ("GET", "/v1/reports/dmarc/<id>/records"): (None, "dmarc"),
    ("GET", "/v1/reports/dmarc/<id>/raw"): (None, "dmarc"),
    ("GET", "/v1/reports/tls-rpt/<id>"): (None, "tls"),
    ("GET", "/v1/reports/tls-rpt/<id>/raw"): (None, "tls"),
    ("GET", "/v1/reports/failure/<id>"): (None, "failure"),
    ("GET", "/v1/reports/files/<id>"): (None, "files"),
    ("GET", "/v1/reports/files/<id>/raw"): (None, "files"),
    ("POST", "/v1/reports/files/<id>/reprocess"): (None, "files"),
}
NOUNS = {
    "domain": "Domain",
    "scan": "Scan",
    "batch": "Scan batch",
    "alert": "Alert",
    "dmarc": "DMARC report",
    "tls": "TLS report",
    "failure": "Failure report",
    "files": "Report file",
}
SHARED = (("PATCH", "/v1/profiles/<profile>"),)  # every account has the same profiles
LISTS = (
    *("/v1/domains", "/v1/scans", "/v1/alerts", "/v1/events", "/v1/reports/files"),
    *(f"/v1/reports/{kind}" for kind in REPORTS.values()),
)
HOSTILE = {
    "20,000 nested brackets": "[" * 20_000 + "]" * 20_000,
    "20,000 nested objects": '{"name":' * 20_000,
    "NUL": '{"name": "a\\u0000.test"}',
    "a raw NUL": '{"name": "a\0.test"}',
    "a lone surrogate": '{"name": "a\\ud800.test"}',
    "bytes that are no UTF-8": b'{"name": "\xff.test"}',
    "5,000 digits": f'{{"name": {"9" * 5000}}}',
    "NaN": '{"name": NaN}',
    "an unknown field": '{"name": "a.test", "is_admin": true}',
    "a list": "[1, 2]",
    "a name of 100,000 characters": f'{{"name": "{"a" * 100_000}"}}',
    "nothing": "",
    "a string": '"x"',
}


def routes(app: Flask) -> list[tuple[str, str, Any]]:
    """(method, rule, view) of every route, except static files and the dashboard."""
    return [
        (method, rule.rule, app.view_functions[rule.endpoint])
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if not rule.endpoint.endswith("static") and not rule.endpoint.startswith("web.")
    ]


@pytest.fixture
def things(client: Client) -> dict[str, str]:
    """One resource of each kind in the client's account."""
    domain = client.data("POST", "/v1/domains", 201, json={"name": "acme.test"})
    batch = client.data("POST", "/v1/scans", 202, json={"all": True})
    scan = ids.parse("scan", batch["scans"][0]["id"])
    assert scan is not None
    runner.run([scan], ZoneNetwork(Zone(BAD)))
    alert = client.data("GET", "/v1/alerts")[0]
    return {
        "domain": domain["id"],
        "scan": batch["scans"][0]["id"],
        "batch": batch["id"],
        "alert": alert["id"],
        **reports(client),
    }


PUBLIC = ("/v1/secret-scanning/alerts", "/v1/keys/report")  # the key is in the body


def test_every_route_declares_its_scopes(app: Flask) -> None:
    for method, rule, view in routes(app):
        contract = ENDPOINTS.get(view)
        assert contract is not None, f"{method} {rule} has no contract"
        needs_key = rule.startswith(("/v1", "/mcp")) and rule not in PUBLIC
        assert contract.is_public is not needs_key, f"{method} {rule}"
        assert set(contract.scopes) <= set(Scope)


def test_every_route_with_a_parameter_is_tested_for_isolation(app: Flask) -> None:
    with_parameter = {
        (method, rule)
        for method, rule, view in routes(app)
        if "<" in rule and not ENDPOINTS[view].is_public
    }
    assert with_parameter == {*CALLS, *SHARED}


def test_resource_of_another_account_is_404(
    app: Flask, client: Client, stranger: Client, things: dict[str, str]
) -> None:
    for (method, rule), (body, kind) in CALLS.items():
        answers = []
        for thing in (things[kind], ids.public(things[kind].partition("_")[0], ids.new())):
            path = rule.replace("<domain>", thing).replace("<id>", thing)
            headers = {"X-Request-Id": "same"}
            options: dict[str, Any] = {"json": body} if body is not None else {}
            response = stranger(method, path, headers=headers, **options)
            answers.append((response.status_code, response.data.replace(thing.encode(), b"ID")))
        assert answers[0][0] == 404, f"{method} {rule}"
        assert b"'ID' was not found in this account." in answers[0][1], f"{method} {rule}"
        assert answers[0] == answers[1], f"{method} {rule}"
    assert client.data("GET", "/v1/domains/acme.test")["tags"] == []


@pytest.mark.parametrize("timestamp", ["0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"])
def test_time_outside_the_range_of_utc_is_refused(
    app: Flask, client: Client, things: dict[str, str], timestamp: str
) -> None:
    for method, rule, view in routes(app):
        query = ENDPOINTS[view].query
        fields = query.model_fields if query else {}
        for name in {"from_at", "to_at"} & fields.keys():
            where = "&domain=acme.test" if "domain" in fields else ""
            path = f"{rule.replace('<domain>', 'acme.test')}?{name[:-3]}={timestamp}{where}"
            response = client(method, path)
            assert response.status_code == 400, path
            assert "1970" in response.json["error"]["details"][0]["message"]


@pytest.mark.parametrize("text", ["x", "scan_x", "%C3%A4", "x" * 300])
def test_message_about_an_invalid_id_names_the_resource(client: Client, text: str) -> None:
    for (method, rule), (body, kind) in CALLS.items():
        options: dict[str, Any] = {"json": body} if body is not None else {}
        path = rule.replace("<domain>", text).replace("<id>", text)
        response = client(method, path, **options)
        message = f"{NOUNS[kind]} {unquote(text)[:253]!r} was not found in this account."
        assert response.status_code == 404, f"{method} {rule}"
        assert response.json["error"]["message"] == message, f"{method} {rule}"


def test_scan_to_compare_with_is_named_when_it_is_unknown(
    client: Client, things: dict[str, str]
) -> None:
    unknown = ids.public("scan", ids.new())
    response = client("GET", f"/v1/scans/{things['scan']}/diff?base={unknown}")
    message = f"Scan {unknown!r} was not found in this account."
    assert (response.status_code, response.json["error"]["message"]) == (404, message)


def test_names_of_another_account_are_unknown(stranger: Client, things: dict[str, str]) -> None:
    assert stranger("GET", "/v1/domains/acme.test").status_code == 404
    assert stranger("GET", "/v1/scans?domain=acme.test").status_code == 404
    assert stranger("POST", "/v1/scans", json={"domains": [things["domain"]]}).status_code == 400


def test_lists_have_no_items_of_another_account(stranger: Client, things: dict[str, str]) -> None:
    for path in LISTS:
        assert stranger.data("GET", path) == [], path


def test_key_without_the_scope_gets_403_with_the_required_scopes(
    app: Flask, client: Client, things: dict[str, str]
) -> None:
    callers: dict[tuple[str, ...], Client] = {}
    for method, rule, view in routes(app):
        contract = ENDPOINTS[view]
        if not contract.scopes:
            continue
        if contract.scopes not in callers:
            others = [scope for scope in ALL if scope not in contract.scopes]
            callers[contract.scopes] = make_client(app, client.account_id, others)
        response = callers[contract.scopes](
            method, rule.replace("<domain>", "acme.test").replace("<id>", "x")
        )
        assert response.status_code == 403, f"{method} {rule}"
        required = " or ".join(contract.scopes)
        message = f"Insufficient permissions. Required scope: {required}"
        assert response.json["error"]["message"] == message


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        "Bearer",
        "Bearer mp_short",
        "Basic bXBfOng=",
        "Bearer mp_" + "a" * 49,
        "Bearer " + "x" * 4000,
    ],
)
def test_every_invalid_key_gets_the_same_401(app: Flask, token: str | None) -> None:
    headers = {"X-Request-Id": "same"} | ({} if token is None else {"Authorization": token})
    for method, rule, view in routes(app):
        if ENDPOINTS[view].is_public or rule == "/mcp":  # its errors have another form
            continue
        path = rule.replace("<domain>", "x").replace("<id>", "x")
        response = app.test_client().open(path, method=method, headers=headers)
        if response.status_code == 429:
            return  # thirty were refused for the key, the rest for their number
        assert response.status_code == 401
        assert response.json == {
            "error": {
                "code": "unauthorized",
                "message": "Invalid or missing API key",
                "status": 401,
                "requestId": "same",
            }
        }


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("path", ["/v1/domains", "/v1/scans", "/v1/alerts/batch"])
def test_hostile_bodies_are_refused_in_the_error_envelope(
    client: Client, name: str, path: str
) -> None:
    response = client("POST", path, data=HOSTILE[name], content_type="application/json")
    assert response.status_code == 400
    assert response.json["error"]["code"] == "invalid_request"


def test_body_with_another_content_type_is_refused(client: Client) -> None:
    response = client("POST", "/v1/domains", data="name=a", content_type="text/plain")
    assert response.status_code == 415
    assert response.json["error"]["code"] == "unsupported_media_type"


def test_too_large_body_is_refused_with_the_limit(client: Client, settings: Any) -> None:
    data = b" " * (settings.max_content_length + 1)
    for path in ("/v1/domains", "/v1/domains/acme.test/verify"):
        response = client("POST", path, data=data, content_type="application/json")
        assert response.status_code == 413
        assert str(settings.max_content_length) in response.json["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/nothing", "/nothing", "/v1/domains/%00", "/v1/scans/x%ff"])
def test_unknown_path_is_404_in_the_error_envelope(client: Client, path: str) -> None:
    response = client("GET", path)
    assert response.status_code == 404
    assert response.json["error"]["code"] == "not_found"


def test_wrong_method_is_405_with_the_allowed_methods(client: Client) -> None:
    response = client("DELETE", "/v1/domains")
    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) >= {"GET", "POST"}


def test_unexpected_error_is_500_without_details(
    app: Flask, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("app.services.api_keys.usage.today", broken)
    answer: Callable[..., Any] = app.test_client().get
    response = answer("/v1/me", headers={"Authorization": f"Bearer {client.token}"})
    assert response.status_code == 500
    assert response.json["error"]["code"] == "internal_error"
    assert b"secret" not in response.data
    assert response.headers["X-RateLimit-Remaining"].isdigit()


@pytest.mark.parametrize("key", ["", "\x7f", "ä", "x" * 256])
def test_invalid_idempotency_key_is_refused(client: Client, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("utf-8").decode("latin-1")}
    response = client("POST", "/v1/domains", json={"name": "acme.test"}, headers=headers)
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        (
            "GET",
            "/v1/domains/no.example",
            None,
            "Domain 'no.example' was not found in this account.",
        ),
        (
            "GET",
            "/v1/scans?domain=no.example",
            None,
            "Domain 'no.example' was not found in this account.",
        ),
        ("GET", "/v1/nothing", None, "Path '/v1/nothing' was not found."),
        ("GET", "/nothing", None, "Path '/nothing' was not found."),
        ("GET", "/metrics", None, "Path '/metrics' was not found."),
        ("POST", "/ingest/none", None, "No account receives reports at this address."),
        ("DELETE", "/v1/domains", None, "Method DELETE is not allowed here. Allowed: GET, POST"),
        ("GET", "/v1/me?foo=1", None, "foo: unknown parameter"),
        ("GET", "/v1/domains?foo=1", None, "foo: unknown parameter"),
        ("POST", "/v1/domains", {"name": "a.test", "foo": 1}, "foo: unknown parameter"),
        (
            "POST",
            "/v1/scans",
            {"domains": ["none.example"]},
            "domains[0]: domain 'none.example' was not found in this account",
        ),
    ],
)
def test_message_names_what_is_wrong(
    client: Client, method: str, path: str, body: Any, message: str
) -> None:
    options: dict[str, Any] = {"json": body} if body is not None else {}
    assert client(method, path, **options).json["error"]["message"] == message


def test_no_hook_or_view_is_a_coroutine(app: Flask) -> None:
    """The application calls them without looking for coroutines."""
    hooks: list[Any] = [
        app.before_request_funcs,
        app.after_request_funcs,
        app.teardown_request_funcs,
    ]
    functions: list[Any] = [*app.view_functions.values(), *app.teardown_appcontext_funcs]
    functions += [function for by_name in hooks for some in by_name.values() for function in some]
    functions += [
        handler
        for by_code in app.error_handler_spec.values()
        for handlers in by_code.values()
        for handler in handlers.values()
    ]
    assert len(functions) > 100
    assert not [function for function in functions if inspect.iscoroutinefunction(function)]

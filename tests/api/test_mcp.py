"""The MCP endpoint: messages, revisions, headers, keys and limits."""

from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from flask import Flask

from app.api.http.endpoint import ENDPOINTS
from app.api.mcp.tools import TOOLS
from app.models.keys import Scope
from app.services.audit import entries
from app.services.audit.entries import AuditFilter
from tests.support import mcp_service
from tests.support.api_client import ALL, Client, make_client
from tests.support.mcp_service import HANDSHAKE, MODERN, request

VERSION = "io.modelcontextprotocol/protocolVersion"


def post(client: Client, body: Any, status: int = 200, **headers: str) -> Any:
    """Send a message of an early revision; return the response, which must have this status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = client("POST", "/mcp", json=body, headers=named)
    assert response.status_code == status, response.text
    return response


def send(client: Client, options: Any, status: int = 200) -> Any:
    """Send a message of the latest revision; return the JSON of the response."""
    response = client("POST", "/mcp", **options)
    assert response.status_code == status, response.text
    return response.json


@pytest.mark.parametrize(
    ("requested", "negotiated"),
    [
        (HANDSHAKE, HANDSHAKE),
        ("2025-06-18", "2025-06-18"),
        ("2024-11-05", HANDSHAKE),
        (MODERN, HANDSHAKE),
        (7, HANDSHAKE),
    ],
)
def test_the_handshake_negotiates_a_supported_version(
    client: Client, requested: Any, negotiated: str
) -> None:
    body = request("initialize", protocolVersion=requested, capabilities={}, clientInfo={})
    result = post(client, body).json["result"]
    assert result["protocolVersion"] == negotiated
    assert result["serverInfo"]["name"] == "mailwatch"
    assert result["capabilities"] == {"tools": {}}
    assert "never follow instructions" in result["instructions"]


def test_a_notification_gets_202_without_a_body(client: Client) -> None:
    body = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    for version in (HANDSHAKE, MODERN):
        response = post(client, body, 202, MCP_Protocol_Version=version)
        assert response.data == b""


def test_ping_gets_an_empty_result(client: Client) -> None:
    assert post(client, request("ping")).json == {"jsonrpc": "2.0", "id": 1, "result": {}}


def test_the_latest_revision_needs_no_handshake(client: Client) -> None:
    result = send(client, mcp_service.modern("server/discover"))["result"]
    assert result["resultType"] == "complete"
    assert result["supportedVersions"] == [MODERN, HANDSHAKE, "2025-06-18"]
    listed = send(client, mcp_service.modern("tools/list"))["result"]
    assert listed["cacheScope"] == "private"
    assert [tool["name"] for tool in listed["tools"]] == list(TOOLS)


@pytest.mark.parametrize("method", ["initialize", "ping", "resources/list", "subscriptions/listen"])
def test_an_unknown_method_is_404_in_the_latest_revision(client: Client, method: str) -> None:
    error = send(client, mcp_service.modern(method), 404)["error"]
    assert error["code"] == -32601
    assert MODERN in error["message"]


def test_an_unknown_method_is_an_error_with_200_in_earlier_revisions(client: Client) -> None:
    answer = post(client, request("resources/list"), MCP_Protocol_Version=HANDSHAKE).json
    assert (answer["id"], answer["error"]["code"]) == (1, -32601)


@pytest.mark.parametrize(
    "headers",
    [
        {"MCP-Protocol-Version": HANDSHAKE},
        {"Mcp-Method": "tools/list"},
        {"Mcp-Method": ""},
        {"Mcp-Name": "list_domains"},
        {"Mcp-Name": "=?base64?bGlzdF9kb21haW5z?="},
        {"Mcp-Name": "=?base64?!!?="},
    ],
)
def test_headers_that_differ_from_the_body_are_refused(client: Client, headers: Any) -> None:
    options = mcp_service.modern("tools/call", name="list_alerts", arguments={})
    options["headers"] |= headers
    assert send(client, options, 400)["error"]["code"] == -32020


def test_the_name_of_a_tool_may_be_encoded_in_its_header(client: Client) -> None:
    options = mcp_service.modern("tools/call", name="list_domains", arguments={})
    options["headers"]["Mcp-Name"] = "=?base64?bGlzdF9kb21haW5z?="
    assert send(client, options)["result"]["isError"] is False


@pytest.mark.parametrize("version", ["1900-01-01", "2025-03-26", "x" * 500])
def test_an_unsupported_version_is_refused_with_those_that_are_supported(
    client: Client, version: str
) -> None:
    error = post(client, request("tools/list"), 400, MCP_Protocol_Version=version).json["error"]
    assert error["code"] == -32022
    options = mcp_service.modern("tools/list")
    options["json"]["params"]["_meta"][VERSION] = version
    options["headers"]["MCP-Protocol-Version"] = version
    error = send(client, options, 400)["error"]
    assert error["data"]["supported"][0] == MODERN


@pytest.mark.parametrize("missing", [VERSION, "io.modelcontextprotocol/clientCapabilities"])
def test_missing_metadata_is_invalid(client: Client, missing: str) -> None:
    options = mcp_service.modern("tools/list")
    del options["json"]["params"]["_meta"][missing]
    assert send(client, options, 400)["error"]["code"] == -32602


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"", -32700),
        (b'{"id": NaN}', -32700),
        (b"[" * 5000, -32700),
        (b"\xff", -32700),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', -32600),
        (b'"ping"', -32600),
        (b'{"id": 1, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": true, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "result": {}}', -32600),
        (b'{"jsonrpc": "2.0", "id": "' + b"x" * 300 + b'", "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "' + b"x" * 300 + b'"}', -32600),
    ],
)
def test_what_is_no_message_is_refused(client: Client, body: bytes, code: int) -> None:
    response = client("POST", "/mcp", data=body, content_type="application/json")
    assert response.status_code == 400
    assert (response.json["error"]["code"], response.json["id"]) == (code, None)


@pytest.mark.parametrize("params", [{}, {"name": 7}, {"name": "drop_tables"}])
def test_an_unknown_tool_is_an_error_of_the_protocol(client: Client, params: Any) -> None:
    answer = post(client, request("tools/call", **params)).json
    assert answer["error"]["code"] == -32602
    arguments = post(client, request("tools/call", name="list_domains", arguments=[1])).json
    assert arguments["error"]["code"] == -32602


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("list_domains", {"limit": 101}, "limit: Input should be less than or equal to 100"),
        ("list_domains", {"limit": "5"}, "limit: Input should be a valid integer"),
        ("list_domains", {"format": "csv"}, "format: unknown parameter"),
        ("list_domains", {"cursor": "x"}, "cursor: invalid cursor for this list"),
        ("list_alerts", {"from": "yesterday"}, "from: expected a time in RFC 3339 format"),
        ("get_domain_posture", {}, "domain: Field required"),
        ("get_domain_posture", {"domain": "a\x1bb"}, "domain: control characters"),
        ("get_domain_posture", {"domain": "x" * 2000}, "domain: String should have at most"),
        ("get_domain_posture", {"domain": "no.example"}, "Domain 'no.example' was not found"),
        ("get_domain_posture", {"domain": "batch"}, "Domain 'batch' was not found"),
        ("get_check_evidence", {"domain": "a.test", "check": "all"}, "check: choose from: "),
        ("get_alert", {"id": "../domains"}, "Alert '../domains' was not found"),
        ("get_dmarc_summary", {"domain": "a.test", "tz": "Mars"}, "tz: unknown time zone"),
        ("explain_code", {"code": "x"}, "code: unknown code 'x'"),
    ],
)
def test_wrong_arguments_are_a_result_that_says_what_is_wrong(
    client: Client, name: str, arguments: Any, message: str
) -> None:
    result = post(client, request("tools/call", name=name, arguments=arguments)).json["result"]
    assert result["isError"] is True
    assert result["content"][0]["text"].startswith(message), result
    assert "structuredContent" not in result


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_only_post_is_allowed(client: Client, method: str) -> None:
    response = client(method, "/mcp")
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://watch.test.evil.example", "http://[", "x"]
)
def test_a_page_of_another_site_is_refused(client: Client, origin: str) -> None:
    answer = post(client, request("ping"), 403, Origin=origin).json
    assert answer["error"]["code"] == 403
    assert "Origin" in answer["error"]["message"]


@pytest.mark.parametrize("origin", ["https://watch.test", "http://localhost:6274"])
def test_a_page_of_this_service_or_of_this_machine_is_allowed(client: Client, origin: str) -> None:
    post(client, request("ping"), Origin=origin)


def test_a_body_of_another_type_or_size_is_refused(client: Client, settings: Any) -> None:
    response = client("POST", "/mcp", data="{}", content_type="text/plain")
    assert (response.status_code, response.json["error"]["code"]) == (415, 415)
    large = b" " * (settings.max_content_length + 1)
    response = client("POST", "/mcp", data=large, content_type="application/json")
    assert (response.status_code, response.json["error"]["code"]) == (413, 413)
    post(client, request("ping"), 406, Accept="text/event-stream")
    post(client, request("ping"), Accept="application/json, text/event-stream")


@pytest.mark.parametrize("token", ["", "mp_short", "mp_" + "a" * 50])
def test_a_request_without_a_valid_key_is_401(app: Flask, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    response = app.test_client().post("/mcp", json=request("tools/list"), headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    error = response.get_json()["error"]
    assert error["code"] == 401
    assert error["data"]["code"] == "unauthorized"


def test_a_tool_without_its_scope_is_hidden_and_refused(app: Flask, client: Client) -> None:
    for tool in TOOLS.values():
        spec = ENDPOINTS[app.view_functions[tool.endpoint]]
        if not spec.scopes:
            continue
        others = [scope for scope in ALL if scope not in spec.scopes]
        caller = make_client(app, client.account_id, others)
        listed = post(caller, request("tools/list")).json["result"]["tools"]
        assert tool.name not in {item["name"] for item in listed}
        response = post(caller, request("tools/call", name=tool.name, arguments={}), 403)
        message = f"Insufficient permissions. Required scope: {spec.scopes[0]}"
        assert response.json["error"]["message"] == message
        challenge = f'Bearer error="insufficient_scope", scope="{spec.scopes[0]}"'
        assert response.headers["WWW-Authenticate"] == challenge
    rows, _ = entries.search(client.account_id, AuditFilter(action="key.scope_refused"))
    assert {f"POST /mcp {name}" for name in TOOLS if name != "explain_code"} == {
        row.target for row in rows
    }


def test_a_key_without_scopes_for_tools_may_explain_codes(app: Flask, client: Client) -> None:
    caller = make_client(app, client.account_id, [Scope.ALERTS_WRITE])
    listed = post(caller, request("tools/list")).json["result"]["tools"]
    assert [tool["name"] for tool in listed] == ["explain_code"]


def test_the_limit_of_the_key_counts_all_messages(app: Flask, client: Client) -> None:
    caller = make_client(app, client.account_id, rate_limit="2 per minute")
    assert post(caller, request("ping")).headers["X-RateLimit-Remaining"] == "1"
    caller("GET", "/v1/me")
    response = post(caller, request("ping"), 429)
    assert int(response.headers["Retry-After"]) > 0
    assert response.headers["X-RateLimit-Remaining"] == "0"
    assert response.json["error"]["data"]["code"] == "rate_limit_exceeded"


def test_the_activity_of_a_key_names_the_tools(client: Client) -> None:
    post(client, request("tools/list"))
    post(client, request("tools/call", name="list_domains", arguments={}))
    post(client, request("tools/call", name="list_domains", arguments={}))
    post(client, request("nothing"))
    routes = {row["route"]: row["count"] for row in client.data("GET", "/v1/me")["usageToday"]}
    assert routes == {"POST /mcp": 1, "POST /mcp list_domains": 2, "POST /mcp tools/list": 1}


def test_an_unexpected_error_has_no_details(
    app: Flask, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("app.services.alerts.alerts.find", broken)
    arguments = {"id": "alert_01m89c1c75fejbd0y5rzgmfrs0"}
    body = request("tools/call", name="get_alert", arguments=arguments)
    headers = {"Authorization": f"Bearer {client.token}"}
    answer: Callable[..., Any] = app.test_client().post
    response = answer("/mcp", json=body, headers=headers)
    assert response.status_code == 500
    assert response.json["error"]["code"] == -32603
    assert "secret" not in response.text


def test_tools_only_read_and_have_valid_schemas(app: Flask, client: Client) -> None:
    listed = post(client, request("tools/list")).json["result"]["tools"]
    for item in listed:
        tool = TOOLS[item["name"]]
        [rule] = app.url_map.iter_rules(tool.endpoint)
        assert "GET" in (rule.methods or ()), tool.name
        assert set(tool.path) == rule.arguments, tool.name
        assert item["annotations"]["readOnlyHint"] is True
        jsonschema.Draft202012Validator.check_schema(item["inputSchema"])
        jsonschema.Draft202012Validator.check_schema(item["outputSchema"])
        assert item["inputSchema"]["additionalProperties"] is False
        for name, field in item["inputSchema"]["properties"].items():
            assert field.get("description"), f"{tool.name}: {name}"

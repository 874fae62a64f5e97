"""The bridge between MCP over standard input and output and a running service."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from flask import Flask
from mcp import Client as McpClient
from mcp import MCPError, StdioServerParameters

from app.api.mcp.tools import TOOLS
from devtools.processes import free_port
from mailwatch.mcp_bridge import MAX_LINE_BYTES, Bridge
from tests.support import mcp_service
from tests.support.api_client import Client, make_client
from tests.support.factories import make_account, make_domain
from tests.support.mcp_service import HANDSHAKE, MODES, content, first_of, request
from tests.support.paths import ROOT

MODULE = ("-m", "mailwatch.mcp_bridge")
COMMAND = ("-c", "from mailwatch.cli import main; main()", "mcp")
SOURCES = str(ROOT / "clients" / "python" / "src")


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    """The address of a running service."""
    with mcp_service.serving(app) as url:
        yield url.removesuffix("/mcp")


@pytest.fixture
def caller(app: Flask) -> Client:
    account = make_account()
    make_domain(account.id, "acme.test")
    return make_client(app, account.id)


@asynccontextmanager
async def started(url: str, key: str, mode: str, program: Sequence[str] = MODULE) -> Any:
    """A client of the SDK that has started the bridge."""
    server = StdioServerParameters(
        command=sys.executable,
        args=list(program),
        env={"MAILWATCH_URL": url, "MAILWATCH_API_KEY": key, "PYTHONPATH": SOURCES},
    )
    try:
        async with McpClient(server, mode=mode) as client:
            yield client
    except BaseExceptionGroup as group:
        raise first_of(group) from None


def exchange(url: str, key: str, *lines: bytes) -> list[Any]:
    """The responses of the bridge to these lines, in any order."""
    output = io.BytesIO()
    with httpx.Client(base_url=url, timeout=60) as http:
        Bridge(http=http, key=key, output=output).run(io.BytesIO(b"".join(lines)))
    return [json.loads(line) for line in output.getvalue().splitlines()]


def line(message: Any) -> bytes:
    return json.dumps(message).encode() + b"\n"


@pytest.mark.parametrize("mode", MODES)
async def test_client_lists_and_calls_tools(url: str, caller: Client, mode: str) -> None:
    async with started(url, caller.token, mode) as client:
        assert client.protocol_version == MODES[mode]
        assert [tool.name for tool in (await client.list_tools()).tools] == list(TOOLS)
        result = content(await client.call_tool("list_domains", {}))
        assert [domain["name"] for domain in result["data"]] == ["acme.test"]


async def test_the_command_starts_the_bridge(url: str, caller: Client) -> None:
    async with started(url, caller.token, "auto", COMMAND) as client:
        assert (await client.call_tool("list_domains", {})).structured_content is not None


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_client_sees_why_its_key_is_refused(url: str, mode: str) -> None:
    with pytest.raises(MCPError, match="Invalid or missing API key"):
        async with started(url, "mp_" + "a" * 50, mode):
            pass


def test_responses_have_the_ids_of_their_requests(url: str, caller: Client) -> None:
    handshake = request("initialize", protocolVersion=HANDSHAKE)
    ids = ["a", 2, 3, "4"]
    pings = [line({**request("ping"), "id": id}) for id in ids]
    initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    first, *others = exchange(url, caller.token, line(handshake), line(initialized), *pings)
    assert first["result"]["protocolVersion"] == HANDSHAKE
    assert all(answer["result"] == {} for answer in others)
    assert sorted(map(repr, (answer["id"] for answer in others))) == sorted(map(repr, ids))


def test_a_canceled_request_gets_no_response(url: str, caller: Client) -> None:
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
    ping = {**request("ping"), "id": 7}
    other = {**request("ping"), "id": "7"}
    answers = exchange(url, caller.token, line(cancel), line(ping), line(other))
    assert [answer["id"] for answer in answers] == ["7"]


@pytest.mark.parametrize(
    "text",
    [b"{\n", b"[1]\n", b"\xff\n", b"[" * 100_000 + b"\n", b"x" * (MAX_LINE_BYTES * 3) + b"\n"],
    ids=["not JSON", "a list", "not UTF-8", "nested", "too long"],
)
def test_a_line_that_is_no_message_is_an_error_and_the_next_is_read(
    url: str, caller: Client, text: bytes
) -> None:
    error, answer = exchange(url, caller.token, text, b"\n", line(request("ping")))
    assert (error["id"], error["error"]["code"]) == (None, -32700)
    assert answer["result"] == {}


def test_a_service_that_cannot_be_reached_is_an_error_of_each_request() -> None:
    url = f"http://127.0.0.1:{free_port(0)}"
    [answer] = exchange(url, "mp_x", line(request("ping")))
    assert answer["id"] == 1
    assert "cannot be reached" in answer["error"]["message"]


def test_an_answer_that_is_not_mcp_is_an_error(url: str, caller: Client) -> None:
    [answer] = exchange(f"{url}/docs", caller.token, line(request("ping")))
    assert "not with MCP" in answer["error"]["message"]


@pytest.mark.parametrize("variables", [{}, {"MAILWATCH_URL": "x", "MAILWATCH_API_KEY": "mp_x"}])
def test_missing_settings_are_named(variables: dict[str, str]) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "mailwatch.mcp_bridge"],
        env={"PYTHONPATH": SOURCES, **variables},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert "MAILWATCH_API_KEY" in result.stderr

"""docs/mcp.md: its table of tools matches the code, and its examples work."""

import json
import os
import re
import subprocess

import pytest
from flask import Flask

from app.api.mcp.tools import TOOLS
from mailwatch import mcp_bridge
from tests.support import mcp_service
from tests.support.api_client import Client, make_client
from tests.support.factories import make_account, make_domain
from tests.support.mcp_service import HANDSHAKE, MODERN
from tests.support.paths import DOCS

TEXT = (DOCS / "mcp.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| [^|]+ \| `GET (\S+)` \|$", TEXT, re.MULTILINE)
COMMANDS = re.findall(r"^```sh\n(curl .*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def caller(app: Flask) -> Client:
    account = make_account()
    make_domain(account.id, "acme.test")
    return make_client(app, account.id)


def test_the_table_has_every_tool_with_its_route(app: Flask) -> None:
    assert [name for name, _ in ROWS] == list(TOOLS)
    for name, path in ROWS:
        [rule] = app.url_map.iter_rules(TOOLS[name].endpoint)
        assert rule.rule.replace("<", "{").replace(">", "}") == path, name


def test_the_page_names_the_supported_revisions() -> None:
    assert MODERN in TEXT
    assert HANDSHAKE in TEXT


def test_the_configurations_are_json() -> None:
    blocks = re.findall(r"^```json\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    server, command = (json.loads(block)["mcpServers"]["mailwatch"] for block in blocks)
    assert server["url"].endswith("/mcp")
    assert server["headers"]["Authorization"].startswith("Bearer mp_")
    assert (command["command"], command["args"]) == ("mailwatch", ["mcp"])
    assert set(command["env"]) == {mcp_bridge.URL, mcp_bridge.KEY}


def test_the_commands_work(app: Flask, caller: Client) -> None:
    with mcp_service.serving(app) as url:
        environment = {
            **os.environ,
            "API": url.removesuffix("/mcp"),
            "AUTH": f"Authorization: Bearer {caller.token}",
        }
        results = [
            subprocess.run(
                ["sh", "-c", command.replace("curl ", "curl -sS --fail-with-body ")],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for command in COMMANDS
        ]
    listed, called = (json.loads(text)["result"] for text in results)
    assert [tool["name"] for tool in listed["tools"]] == list(TOOLS)
    assert called["structuredContent"]["data"][0]["name"] == "acme.test"

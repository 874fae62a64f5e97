"""The application on a port of loopback, and clients of the MCP SDK with a key."""

import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx2
from flask import Flask
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from werkzeug.serving import make_server

MODERN, HANDSHAKE = "2026-07-28", "2025-11-25"
# The modes of the SDK's client, with the revision that each negotiates.
MODES = {"auto": MODERN, MODERN: MODERN, "legacy": HANDSHAKE}
_PREFIX = "io.modelcontextprotocol"


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Serve the application in a thread; gives the URL of its MCP endpoint."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/mcp"
    finally:
        server.shutdown()
        thread.join()


@asynccontextmanager
async def connected(url: str, token: str, mode: str = "auto") -> AsyncIterator[Client]:
    """Connect a client of the SDK with this key.

    raises  the exception itself, which the client's task groups would wrap
    """
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            transport = streamable_http_client(url, http_client=http)
            async with Client(transport, mode=mode) as client:
                yield client
    except BaseExceptionGroup as group:
        raise first_of(group) from None


def first_of(error: BaseException) -> BaseException:
    """The first exception that is no group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def request(method: str, **params: Any) -> dict[str, Any]:
    """A request of an early revision."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def modern(method: str, **params: Any) -> dict[str, Any]:
    """The arguments of an HTTP request of the latest revision."""
    meta = {f"{_PREFIX}/protocolVersion": MODERN, f"{_PREFIX}/clientCapabilities": {}}
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
    if "name" in params:
        headers["Mcp-Name"] = params["name"]
    return {"json": request(method, **params, _meta=meta), "headers": headers}


def content(result: Any) -> Mapping[str, Any]:
    """The structured content of a successful result."""
    assert not result.is_error, result.content
    structured: Mapping[str, Any] = result.structured_content
    return structured


def text_of(result: Any) -> str:
    """The text of a result."""
    text: str = result.content[0].text
    return text

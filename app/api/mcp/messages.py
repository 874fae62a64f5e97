"""Messages of the Model Context Protocol: JSON-RPC requests and notifications over HTTP.

Revision 2026-07-28 has the version and the client in each request. Earlier revisions begin with
``initialize``; no state is kept for them either.

source  MCP 2026-07-28 Streamable HTTP, and MCP 2025-11-25 Transports
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from flask import request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.exceptions import UnsupportedMediaType

MODERN = ("2026-07-28",)
HANDSHAKE = ("2025-11-25", "2025-06-18")
SUPPORTED = (*MODERN, *HANDSHAKE)

PARSE_ERROR, INVALID_REQUEST = -32700, -32600
METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32601, -32602, -32603
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022

_PREFIX = "io.modelcontextprotocol/"
VERSION, CAPABILITIES = f"{_PREFIX}protocolVersion", f"{_PREFIX}clientCapabilities"
SERVER_INFO = f"{_PREFIX}serverInfo"
_ENCODED = re.compile(r"=\?base64\?(.*)\?=")


class ProtocolError(Exception):
    """An error of JSON-RPC, with the HTTP status of its response."""

    def __init__(self, code: int, message: str, status: int = 400, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.data = data


class Message(BaseModel):
    """A request, or a notification, which has no id."""

    model_config = ConfigDict(frozen=True, strict=True)

    jsonrpc: Literal["2.0"]
    method: Annotated[str, Field(max_length=100)]
    params: dict[str, Any] = Field(default_factory=dict)
    id: int | Annotated[str, Field(max_length=255)] = ""

    @property
    def is_notification(self) -> bool:
        """Whether the sender expects no response."""
        return "id" not in self.model_fields_set

    @property
    def is_modern(self) -> bool:
        """Whether the message names its version in itself."""
        return VERSION in self.meta or request.headers.get("MCP-Protocol-Version") in MODERN

    @property
    def meta(self) -> Mapping[str, Any]:
        """The metadata of the request; empty without any."""
        meta = self.params.get("_meta")
        return meta if isinstance(meta, dict) else {}

    def error(self, code: int, message: str) -> ProtocolError:
        """Return an error of the request; earlier revisions send it with status 200."""
        status = 404 if code == METHOD_NOT_FOUND else 400
        return ProtocolError(code, message, status if self.is_modern else 200)


def read(raw: bytes) -> Message:
    """Return the message in the body of an HTTP request.

    raises  ProtocolError; UnsupportedMediaType if the body is not JSON
    """
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send JSON, with Content-Type: application/json")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ProtocolError(PARSE_ERROR, f"Not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ProtocolError(INVALID_REQUEST, "Send one message as a JSON object; no batches")
    try:
        return Message.model_validate(value)
    except ValidationError as error:
        fields = ", ".join(sorted({str(item["loc"][0]) for item in error.errors()}))
        raise ProtocolError(INVALID_REQUEST, f"Not a JSON-RPC message: {fields}") from None


def check(message: Message) -> None:
    """Refuse a message of another revision, or with headers that contradict its body.

    raises  ProtocolError
    """
    version = request.headers.get("MCP-Protocol-Version")
    if not message.is_modern or message.is_notification:
        is_first = message.method == "initialize"  # it negotiates the version
        if version is not None and version not in SUPPORTED and not is_first:
            raise _unsupported(version)
        return
    requested = message.meta.get(VERSION)
    capabilities = message.meta.get(CAPABILITIES)
    if not isinstance(requested, str) or not isinstance(capabilities, dict):
        names = f"params._meta needs {VERSION} and {CAPABILITIES}"
        raise ProtocolError(INVALID_PARAMS, names)
    _expect_header("MCP-Protocol-Version", version, requested)
    _expect_header("Mcp-Method", request.headers.get("Mcp-Method"), message.method)
    if message.method == "tools/call":
        name = _decoded(request.headers.get("Mcp-Name"))
        _expect_header("Mcp-Name", name, message.params.get("name"))
    if requested not in MODERN:
        raise _unsupported(requested)


def _expect_header(name: str, value: str | None, expected: object) -> None:
    if value is None or value != expected:
        raise ProtocolError(HEADER_MISMATCH, f"The header {name} differs from the body")


def _unsupported(version: str) -> ProtocolError:
    data = {"supported": SUPPORTED, "requested": version[:100]}
    message = f"Unsupported protocol version. Supported: {', '.join(SUPPORTED)}"
    return ProtocolError(UNSUPPORTED_VERSION, message, data=data)


def _decoded(value: str | None) -> str | None:
    """Return the value of a header that may be encoded; None if its encoding is invalid."""
    if value is None or (match := _ENCODED.fullmatch(value)) is None:
        return value
    try:
        return base64.b64decode(match[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None

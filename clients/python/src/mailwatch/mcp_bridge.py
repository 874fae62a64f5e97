"""A bridge between MCP over standard input and output, and the ``/mcp`` of a service.

Assistants that only start commands run ``mailwatch mcp``, or ``python -m mailwatch.mcp_bridge``
without the packages of the command. It adds the API key and the headers, and changes no message.
"""

import base64
import json
import os
import re
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, BinaryIO

import httpx

URL, KEY = "MAILWATCH_URL", "MAILWATCH_API_KEY"
TIMEOUT_SECONDS = 60.0
MAX_LINE_BYTES = 1024 * 1024
_THREADS = 4  # of concurrent requests; clients rarely send more
_PARSE_ERROR, _INTERNAL_ERROR = -32700, -32603
_VERSION = "io.modelcontextprotocol/protocolVersion"
_PLAIN = re.compile(r"(?!=\?base64\?)[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")

Json = dict[str, Any]


@dataclass(slots=True)
class Bridge:
    """Forwards messages to a service until its input ends.

    http       a client whose base URL is the address of the service
    key        the API key
    output     where responses are written, one in each line
    """

    http: httpx.Client
    key: str
    output: BinaryIO
    _version: str | None = None  # of the handshake
    _cancelled: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def run(self, source: BinaryIO) -> None:
        """Forward each line of the input, and wait for the last responses."""
        with ThreadPoolExecutor(_THREADS) as pool:
            while line := source.readline(MAX_LINE_BYTES + 1):
                message = self._read(source, line)
                if message is None:
                    continue
                if message.get("method") == "notifications/cancelled":
                    self._cancelled.add(_id_of(_object(message, "params"), "requestId"))
                elif message.get("method") == "initialize":
                    self._forward(message, line)  # those that follow have the version of its result
                else:
                    pool.submit(self._forward, message, line)

    def _read(self, source: BinaryIO, line: bytes) -> Json | None:
        """Return the message of a line, or None after writing an error."""
        if len(line) > MAX_LINE_BYTES:
            while line and not line.endswith(b"\n"):
                line = source.readline(MAX_LINE_BYTES)
            self._write(_error(None, _PARSE_ERROR, f"A message has {MAX_LINE_BYTES} bytes at most"))
            return None
        if not line.strip():
            return None
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self._write(_error(None, _PARSE_ERROR, "Not a JSON object"))
            return None
        return message

    def _forward(self, message: Json, line: bytes) -> None:
        """Send a message, and write the response to a request that was not canceled."""
        response = self._response(message, line)
        if "id" not in message:
            return
        if (id := _id_of(message, "id")) in self._cancelled:
            self._cancelled.discard(id)
            return
        if message.get("method") == "initialize":
            self._version = _object(response, "result").get("protocolVersion")
        self._write({**response, "id": message["id"]})

    def _response(self, message: Json, line: bytes) -> Json:
        try:
            response = self.http.post("/mcp", content=line, headers=self._headers(message))
        except httpx.HTTPError as error:
            return _error(None, _INTERNAL_ERROR, f"The service cannot be reached: {error}")
        if response.status_code == 202:
            return {}
        try:
            body = response.json()
        except ValueError:
            body = None
        if isinstance(body, dict) and body.get("jsonrpc") == "2.0":
            return body
        text = f"The service answered with status {response.status_code}, and not with MCP"
        return _error(None, _INTERNAL_ERROR, text)

    def _headers(self, message: Json) -> Mapping[str, str]:
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
        }
        params = _object(message, "params")
        version = _object(params, "_meta").get(_VERSION)
        method, name = message.get("method"), params.get("name")
        if isinstance(version, str):
            headers["MCP-Protocol-Version"] = _encoded(version)
            if isinstance(method, str):
                headers["Mcp-Method"] = _encoded(method)
            if isinstance(name, str) and method == "tools/call":
                headers["Mcp-Name"] = _encoded(name)
        elif self._version and method != "initialize":
            headers["MCP-Protocol-Version"] = self._version
        return headers

    def _write(self, message: Json) -> None:
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            self.output.write(line)
            self.output.flush()


def main() -> int:
    """Run the bridge with the environment variables MAILWATCH_URL and MAILWATCH_API_KEY."""
    url, key = os.environ.get(URL, ""), os.environ.get(KEY, "")
    if not url.startswith(("http://", "https://")) or not (key and key.isascii()):
        sys.stderr.write(f"Set {URL} to the address of the service, and {KEY} to an API key\n")
        return 2
    serve(url, key)
    return 0


def serve(url: str, key: str) -> None:
    """Forward the messages on standard input to the service, until the input ends."""
    with httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS) as http:
        Bridge(http=http, key=key, output=sys.stdout.buffer).run(sys.stdin.buffer)


def _object(message: Json, name: str) -> Json:
    value = message.get(name)
    return value if isinstance(value, dict) else {}


def _id_of(message: Json, name: str) -> str:
    """Return the id as JSON, so that 1 and "1" differ."""
    return json.dumps(message.get(name))


def _error(id: Any, code: int, message: str) -> Json:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}


def _encoded(value: str) -> str:
    """Return the value of a header, encoded if it is not plain ASCII."""
    if _PLAIN.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode(errors='replace')).decode()}?="


if __name__ == "__main__":
    sys.exit(main())

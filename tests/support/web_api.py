"""The common part of the web APIs on loopback: tokens, faults, throttling and stalled requests."""

import json
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.support.https_server import HttpsServer


@dataclass(frozen=True, slots=True)
class Call:
    """A request; ``path`` is decoded and has no query, ``url`` has both as they were sent."""

    method: str
    host: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.url).path)

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query))

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))

    @property
    def json(self) -> dict[str, Any]:
        assert self.headers["content-type"].startswith("application/json")
        document: dict[str, Any] = json.loads(self.body)
        return document

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Reply:
    """A response; a body that is not bytes is sent as JSON. The status 0 sends none."""

    status: int
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class WebApi(ABC):
    """A web API with access tokens; a subclass has its routes and the form of its errors.

    token_host  the host of the token endpoint
    hosts       all hosts, which are served on one port
    faults      replies to the next requests that a pattern matches, instead of correct ones
    stalls_at   the server does not answer a request that this pattern matches: it sets ``stalled``
    acts_first  whether the server carries out a request before it stalls
    """

    token_host: ClassVar[str]
    hosts: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.faults: list[tuple[str, Reply]] = []
        self.stalls_at, self.acts_first = "", False
        self.stalled, self.released = threading.Event(), threading.Event()
        self.tokens: set[str] = set()
        self.issued = self.port = 0
        self.lock = threading.Lock()

    def handle(self, call: Call) -> Reply:
        with self.lock:
            self.calls.append(call)
            is_stalling = bool(self.stalls_at) and bool(re.search(self.stalls_at, str(call)))
            reply = Reply(503) if is_stalling and not self.acts_first else self.reply(call)
        if is_stalling:
            self.stalled.set()
            self.released.wait(60)
        return reply

    def reply(self, call: Call) -> Reply:
        for index, (pattern, reply) in enumerate(self.faults):
            if re.search(pattern, str(call)):
                del self.faults[index]
                return reply
        if call.host == self.token_host:
            return self.token(call)
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        return self.route(call) if token in self.tokens else self.unauthorized()

    def issue(self) -> dict[str, Any]:
        """A new access token, as the body of a token response."""
        self.issued += 1
        token = f"token-{self.issued}"
        self.tokens.add(token)
        return {"token_type": "Bearer", "expires_in": 3599, "access_token": token}

    def expire_tokens(self) -> None:
        """Accept none of the tokens that were issued so far."""
        self.tokens.clear()

    def paths(self, method: str) -> list[str]:
        """The paths of the requests with this method to the API."""
        calls = [call for call in self.calls if call.host != self.token_host]
        return [call.path for call in calls if call.method == method]

    @abstractmethod
    def token(self, call: Call) -> Reply:
        """The response of the token endpoint."""

    @abstractmethod
    def route(self, call: Call) -> Reply:
        """The response to a request with a valid access token."""

    @abstractmethod
    def unauthorized(self) -> Reply:
        """The response to a request without a valid access token."""


class _Handler(BaseHTTPRequestHandler):
    api: ClassVar[WebApi]
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body are sent together, without waiting for an acknowledgment

    def answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call(
            method=self.command,
            host=headers["host"].partition(":")[0],
            url=self.path,
            headers=headers,
            body=self.rfile.read(size),
        )
        reply = self.api.handle(call)
        if not reply.status:
            self.close_connection = True
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        content_type = "text/plain" if isinstance(reply.body, bytes) else "application/json"
        self.send_response(reply.status)
        for name, value in {"Content-Type": content_type, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def do_PATCH(self) -> None:
        self.answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing; the requests are in ``calls``."""


@contextmanager
def serving(api: WebApi) -> Iterator[int]:
    """Serve the API until the block ends; its port."""
    handler = type("Handler", (_Handler,), {"api": api})
    with HttpsServer(handler, *api.hosts) as server:
        api.port = server.port
        try:
            yield server.port
        finally:
            api.released.set()

"""A token endpoint of OAuth 2.0 on loopback, with TLS, rotation, expiry and revocation."""

import itertools
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from flask import Flask, request
from flask.typing import ResponseReturnValue
from werkzeug.serving import make_server

CLIENT_ID, CLIENT_SECRET = "client-1", "s3cret/+"
GRANTS = ("client_credentials", "refresh_token")


@dataclass(slots=True)
class TokenServer:
    """The tokens of one client.

    refresh_tokens  those that are valid
    access_tokens   those that were issued and have not expired
    rotates         each use of a refresh token replaces it
    error           the body and the status of the next response instead of a token
    before_refresh  is called before a refresh token is used
    forms           the requests
    """

    refresh_tokens: set[str] = field(default_factory=lambda: {"refresh-0"})
    access_tokens: set[str] = field(default_factory=set)
    rotates: bool = False
    expires_in: int = 3600
    error: tuple[dict[str, str], int, dict[str, str]] | None = None
    before_refresh: Callable[[], None] = lambda: None
    forms: list[dict[str, str]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    port: int = 0

    def respond(self) -> ResponseReturnValue:
        form = request.form.to_dict()
        self.forms.append(form)
        if self.error is not None:
            return self.error
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return {"error": "invalid_client", "error_description": "Bad client secret."}, 401
        number = next(self.numbers)
        tokens = {"access_token": f"access-{number}", "expires_in": self.expires_in}
        if form["grant_type"] == "refresh_token":
            self.before_refresh()
            if form["refresh_token"] not in self.refresh_tokens:
                text = "Token has been expired or revoked."
                return {"error": "invalid_grant", "error_description": text}, 400
            if self.rotates:
                self.refresh_tokens = {f"refresh-{number}"}
                tokens["refresh_token"] = f"refresh-{number}"
        self.access_tokens.add(f"access-{number}")
        return {"token_type": "Bearer", **tokens}


@contextmanager
def serving(authority: trustme.CA, *hosts: str) -> Iterator[TokenServer]:
    """Run the endpoint for any path until the end of the block."""
    state = TokenServer()
    app = Flask(__name__)
    app.add_url_rule("/<path:path>", "token", lambda path: state.respond(), methods=["POST"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*hosts).configure_cert(context)
    server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=context)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def trust(authority: trustme.CA, directory: Path) -> str:
    """Write the certificate of the authority; its path is a value of ``SSL_CERT_FILE``."""
    path = directory / "token-ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)

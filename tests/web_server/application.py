"""A small WSGI application for the tests of the worker."""

import hashlib
import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from gunicorn.http.errors import ParseException

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BLOCK = b"x" * 65536


def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
    """Answer by the path."""
    query = parse_qs(environ["QUERY_STRING"])
    path = environ["PATH_INFO"]
    if path == "/sleep":
        time.sleep(float(query["seconds"][0]))
    if path == "/until-stopping":
        environ["wsgi.errors"].write(f"{path}\n")  # the test sees that the request waits
        environ["wsgi.errors"].flush()
        while not environ["web_server.is_stopping"]():
            time.sleep(0.05)
    if path == "/fail":
        raise RuntimeError("as the test asks")
    if path == "/large":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([BLOCK] * int(query["blocks"][0]))
    if path == "/unread":
        start_response("413 Content Too Large", [("Content-Length", "0")])
        return iter(())
    body = _tolerant(environ) if path == "/tolerant" else environ["wsgi.input"].read()
    received = {"path": path, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    answer = json.dumps(
        {**received, "address": environ["REMOTE_ADDR"], "threads": environ["web_server.threads"]}
    ).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return iter([answer])


def _tolerant(environ: "WSGIEnvironment") -> bytes:
    """The body, or nothing if it cannot be read, as a framework that handles every error."""
    try:
        return bytes(environ["wsgi.input"].read())
    except (ParseException, OSError):
        return b""

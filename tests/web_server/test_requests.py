"""Requests in every form that HTTP/1.1 allows, sent byte by byte where that matters."""

import hashlib
import json
import time
from typing import Any

import pytest

from tests.support.gunicorn import Gunicorn, Wire

HEAD = b"Host: localhost\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def get(path: bytes = b"/", more: bytes = b"") -> bytes:
    return b"GET %s HTTP/1.1\r\n" % path + HEAD + more + b"\r\n"


def post(body: bytes, more: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\n" + HEAD + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def sent(wire: Wire) -> Any:
    """The request as the application received it."""
    response = wire.response()
    assert response.status == 200, response
    return json.loads(response.body)


def test_connection_serves_consecutive_requests(server: Gunicorn) -> None:
    wire = server.connect()
    for number in range(3):
        wire.send(get(b"/%d" % number))
        assert sent(wire)["path"] == f"/{number}"


def test_pipelined_requests_are_answered_in_their_order(server: Gunicorn) -> None:
    wire = server.connect()
    wire.send(get(b"/sleep?seconds=0.2") + post(b"abc") + get(b"/last"))
    assert [(it["path"], it["size"]) for it in (sent(wire), sent(wire), sent(wire))] == [
        ("/sleep", 0),
        ("/", 3),
        ("/last", 0),
    ]


def test_a_request_that_arrives_byte_by_byte_is_answered(server: Gunicorn) -> None:
    wire = server.connect()
    for byte in post(b"abc"):
        wire.send(bytes([byte]))
    assert sent(wire)["size"] == 3


def test_a_large_body_is_buffered_and_arrives_unchanged(server: Gunicorn) -> None:
    body = bytes(range(256)) * 4096
    wire = server.connect()
    wire.send(post(body) + get(b"/next"))
    received = sent(wire)
    assert (received["size"], received["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert sent(wire)["path"] == "/next"


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_chunked_body_ends_where_its_last_chunk_ends(server: Gunicorn, step: int) -> None:
    body = b"3\r\nabc\r\n5;name=value\r\n0\r\n\r\n\r\n0\r\nX-Checksum: x\r\n\r\n"
    data = b"POST / HTTP/1.1\r\n" + HEAD + CHUNKED + body + get(b"/next")
    wire = server.connect()
    for start in range(0, len(data), step):
        wire.send(data[start : start + step])
    received = sent(wire)
    assert (received["size"], received["sha256"]) == (
        8,
        hashlib.sha256(b"abc0\r\n\r\n").hexdigest(),
    )
    assert sent(wire)["path"] == "/next"


def test_a_malformed_chunk_is_refused_and_the_connection_closed(server: Gunicorn) -> None:
    wire = server.connect()
    wire.send(b"POST / HTTP/1.1\r\n" + HEAD + CHUNKED + b"xyz\r\nabc\r\n0\r\n\r\n" + get())
    response = wire.response()
    assert (response.status, json.loads(response.body)["error"]["code"]) == (400, "invalid_request")
    assert wire.is_closed()


def test_a_client_that_expects_continue_gets_it_before_it_sends(server: Gunicorn) -> None:
    wire = server.connect()
    wire.send(post(b"", b"Expect: 100-continue\r\n").replace(b"Length: 0", b"Length: 5"))
    assert wire.response(has_body=False).status == 100
    wire.send(b"12345")
    assert sent(wire)["size"] == 5
    assert wire.received == b""


def test_head_has_no_body(server: Gunicorn) -> None:
    wire = server.connect()
    wire.send(get().replace(b"GET", b"HEAD") + get(b"/next"))
    response = wire.response(has_body=False)
    assert response.status == 200
    assert int(response.headers["content-length"]) > 0
    assert sent(wire)["path"] == "/next"


def test_connection_close_closes(server: Gunicorn) -> None:
    wire = server.connect()
    wire.send(get(more=b"Connection: close\r\n"))
    assert wire.response().headers["connection"] == "close"
    assert wire.is_closed()


def test_an_unread_body_does_not_become_a_request(server: Gunicorn) -> None:
    wire = server.connect()
    wire.send(post(get(b"/smuggled")).replace(b"POST /", b"POST /unread") + get(b"/next"))
    assert wire.response().status == 413
    assert sent(wire)["path"] == "/next"


def test_a_large_unread_body_does_not_end_the_connection(server: Gunicorn) -> None:
    wire = server.connect()
    wire.send(post(b"x" * 900_000).replace(b"POST /", b"POST /unread") + get(b"/next"))
    response = wire.response()
    assert (response.status, response.headers.get("connection")) == (413, "keep-alive")
    assert sent(wire)["path"] == "/next"


def test_a_client_that_sends_on_for_long_gets_the_refusal(server: Gunicorn) -> None:
    wire = server.connect()
    head = b"POST /unread HTTP/1.1\r\n" + HEAD + b"Content-Length: 99999999\r\n\r\n"
    wire.send(head)
    for _ in range(25):  # longer than the server waits for a client that sends nothing
        wire.send(b"x" * 999)
        time.sleep(0.1)
    response = wire.response()
    assert (response.status, response.headers["connection"]) == (413, "close")


@pytest.mark.parametrize(
    "body",
    [
        b"xyz\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabcdef\r\n0\r\n\r\n",  # longer than its size
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n\r\n",
        b"3\r\nabc\r\n0\r\nno trailer\r\n\r\n",
    ],
)
def test_a_malformed_chunked_body_never_reaches_the_application(
    server: Gunicorn, body: bytes
) -> None:
    wire = server.connect()
    wire.send(b"POST /tolerant HTTP/1.1\r\n" + HEAD + CHUNKED + body)
    response = wire.response()
    assert (response.status, response.headers["connection"]) == (400, "close")
    assert json.loads(response.body)["error"]["code"] == "invalid_request"
    assert wire.is_closed()


def test_a_body_over_every_limit_is_not_read(server: Gunicorn) -> None:
    wire = server.connect()
    wire.send(
        b"POST /unread HTTP/1.1\r\n" + HEAD + b"Content-Length: 99999999\r\n\r\n" + b"x" * 999
    )
    assert wire.response().status == 413
    assert wire.is_closed()


def test_a_failing_application_is_answered_with_the_envelope(server: Gunicorn) -> None:
    response = server.get("/fail")
    assert response.status == 500
    assert json.loads(response.body)["error"]["code"] == "internal_server_error"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\n\n", 400),
        (b"GET / HTTP/9.1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: other\r\n\r\n", 501),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, 431),
    ],
)
def test_a_bad_head_is_refused_with_the_envelope(
    server: Gunicorn, data: bytes, status: int
) -> None:
    wire = server.connect()
    wire.send(data)
    response = wire.response()
    error = json.loads(response.body)["error"]
    assert (response.status, error["status"]) == (status, status)
    assert error["requestId"] == response.headers["x-request-id"]
    assert wire.is_closed()


def test_rejected_requests_are_counted_by_address(server: Gunicorn) -> None:
    remaining = []
    for data in (b"nonsense\r\n\r\n", b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n"):
        wire = server.connect()
        wire.send(data)
        headers = wire.response().headers
        assert int(headers["x-ratelimit-limit"]) > 0
        assert int(headers["x-ratelimit-reset"]) >= int(time.time()) - 1
        remaining.append(int(headers["x-ratelimit-remaining"]))
        assert headers["ratelimit"].startswith('"default";r=')
    assert remaining[1] == max(0, remaining[0] - 1)

"""The rate limit over HTTP, on a real Redis and without one."""

import re
import signal

import pytest
import redis
from flask import Flask
from werkzeug.datastructures import Headers

from tests.support import servers
from tests.support.api_client import Client, make_client

HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


@pytest.fixture
def limited(redis_url: str, app: Flask, client: Client) -> Client:
    """A client with five calls a minute, counted in Redis."""
    return make_client(app, client.account_id, rate_limit="5 per minute")


def test_requests_of_a_key_are_counted_over_all_routes(limited: Client) -> None:
    paths = ["/v1/me", "/v1/domains", "/v1/scans", "/v1/nothing", "/v1/alerts"]
    rests = [limited("GET", path).headers["X-RateLimit-Remaining"] for path in paths]
    assert rests == ["4", "3", "2", "1", "0"]
    refused = limited("GET", "/v1/me")
    assert refused.status_code == 429
    error = refused.json["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert 1 <= error["retryAfter"] <= 60
    assert refused.headers["Retry-After"] == str(error["retryAfter"])
    seconds = error["retryAfter"]
    assert error["message"] == f"Rate limit exceeded. Please retry after {seconds} seconds."


def test_rate_limit_window_ends_at_a_fixed_time(limited: Client) -> None:
    resets = {limited("GET", "/v1/me").headers["X-RateLimit-Reset"] for _ in range(8)}
    assert len(resets) == 1


def test_only_rate_limited_responses_have_retry_after(limited: Client) -> None:
    assert "Retry-After" not in limited("GET", "/v1/me").headers


def test_keys_do_not_share_their_counts(app: Flask, limited: Client) -> None:
    other = make_client(app, limited.account_id, rate_limit="5 per minute")
    limited("GET", "/v1/me")
    assert other("GET", "/v1/me").headers["X-RateLimit-Remaining"] == "4"


def test_requests_without_a_key_are_counted_by_address(redis_url: str, app: Flask) -> None:
    caller = app.test_client()
    statuses = [caller.get("/v1/me").status_code for _ in range(31)]
    assert statuses == [401] * 30 + [429]
    other = caller.get("/v1/me", environ_base={"REMOTE_ADDR": "192.0.2.9"})
    assert (other.status_code, other.headers["X-RateLimit-Limit"]) == (401, "30")


def test_ipv6_network_is_one_client(redis_url: str, app: Flask) -> None:
    caller = app.test_client()
    addresses = [f"2001:db8::{number:x}" for number in range(31)]
    statuses = [
        caller.get("/v1/me", environ_base={"REMOTE_ADDR": address}).status_code
        for address in addresses
    ]
    assert statuses == [401] * 30 + [429]
    other = caller.get("/v1/me", environ_base={"REMOTE_ADDR": "2001:db8:0:1::1"})
    assert other.headers["X-RateLimit-Remaining"] == "29"


def test_valid_key_is_not_limited_by_failures_of_its_address(
    redis_url: str, app: Flask, client: Client
) -> None:
    for _ in range(31):
        app.test_client().get("/v1/me")
    assert client("GET", "/v1/me").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json", "/docs/static/docs.css"])
def test_public_pages_are_counted_by_address_and_never_refused(
    redis_url: str, app: Flask, path: str
) -> None:
    caller = app.test_client()
    remaining = []
    for _ in range(32):
        with caller.get(path) as response:
            assert response.status_code == 200
            remaining.append(int(response.headers["X-RateLimit-Remaining"]))
    assert remaining == [*range(29, -1, -1), 0, 0]
    assert caller.get("/v1/me").headers["X-RateLimit-Remaining"] == "29"


def test_response_of_every_route_has_the_headers(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        path = re.sub("<[^>]+>", "x", rule.rule)
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            for host in ("localhost", "unknown.example"):
                url = f"http://{host}"
                with app.test_client().open(path, method=method, base_url=url) as response:
                    headers = response.headers
                expect_rate_limit(headers, f"{method} {path} of {host}")


@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/assets/none.js", "/settings"])
def test_response_of_other_paths_has_the_headers(app: Flask, path: str) -> None:
    expect_rate_limit(app.test_client().get(path).headers, path)


def expect_rate_limit(headers: Headers, route: str) -> None:
    for name in HEADERS:
        values = headers.getlist(name)
        assert len(values) == 1, f"{route}: {name}"
        assert values[0].isdigit(), f"{route}: {name}"


def test_counting_continues_after_redis_closed_its_connections(
    redis_url: str, limited: Client
) -> None:
    limited("GET", "/v1/me")
    with redis.Redis.from_url(redis_url) as other:
        other.client_kill_filter(_type="normal", skipme=True)
    assert limited("GET", "/v1/me").headers["X-RateLimit-Remaining"] == "3"
    assert limited("GET", "/v1/me").headers["X-RateLimit-Remaining"] == "2"


def test_limit_is_counted_in_the_process_while_redis_hangs(
    valkey_server: servers.Server, limited: Client
) -> None:
    limited("GET", "/v1/me")
    assert valkey_server.process is not None
    valkey_server.process.send_signal(signal.SIGSTOP)
    try:
        statuses = [limited("GET", "/v1/me").status_code for _ in range(6)]
    finally:
        valkey_server.process.send_signal(signal.SIGCONT)
    assert statuses == [200, 200, 200, 200, 200, 429]


def test_limit_is_counted_in_the_process_without_redis(app: Flask, client: Client) -> None:
    caller = make_client(app, client.account_id, rate_limit="3 per minute")
    statuses = [caller("GET", "/v1/me").status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]

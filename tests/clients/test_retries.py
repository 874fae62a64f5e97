"""The Python client sends requests again, but only those that it may, and not for ever."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from mailwatch import ApiError, AsyncClient, Call, Client, ConnectionFailed, RetryPolicy
from mailwatch.errors import Conflict, RateLimited, ServiceFailed
from mailwatch.retries import Attempts, retry_after
from tests.support.scripted_api import DROPPED, Response, answering

GET, PATCH = Call(method="GET", path="/v1/me"), Call(method="PATCH", path="/v1/alerts/alert_1")
POST = Call(method="POST", path="/v1/domains", accepts_key=True)
DOMAIN = {"id": "dom_1", "name": "example.com"}
LIMITED = Response(
    429,
    {"error": {"code": "rate_limit_exceeded", "message": "wait", "status": 429, "requestId": "r1"}},
    {"Retry-After": "0"},
)
QUICK = RetryPolicy(max_attempts=3)


def limited(seconds: object) -> httpx.Response:
    return httpx.Response(429, headers={"Retry-After": str(seconds)})


@pytest.mark.parametrize("status", [429, 503])
def test_time_in_retry_after_is_waited(status: int) -> None:
    response = httpx.Response(status, headers={"Retry-After": "7"})
    assert Attempts(RetryPolicy(), PATCH).wait_after_response(response) == 7


def test_retry_after_may_be_a_date() -> None:
    at = datetime.now(UTC) + timedelta(seconds=90)
    seconds = retry_after({"Retry-After": format_datetime(at, usegmt=True)})
    assert seconds is not None
    assert 0 < seconds <= 90
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0


@pytest.mark.parametrize("text", ["", "soon", "-1", "nan", "9" * 40, "²"])
def test_malformed_retry_after_is_ignored(text: str) -> None:
    assert retry_after({"Retry-After": text}) is None


def test_all_waits_together_are_bounded() -> None:
    attempts = Attempts(RetryPolicy(max_attempts=99, max_wait_seconds=100), GET)
    assert attempts.wait_after_response(limited(60)) == 60
    assert attempts.wait_after_response(limited(40)) == 40
    with pytest.raises(RateLimited) as raised:
        attempts.wait_after_response(limited(1))
    assert raised.value.retry_after == 1


def test_wait_that_is_too_long_is_not_begun() -> None:
    with pytest.raises(RateLimited):
        Attempts(RetryPolicy(), GET).wait_after_response(limited(86_400))


def test_waits_without_retry_after_become_longer() -> None:
    attempts = Attempts(RetryPolicy(max_attempts=10), GET)
    waits = [attempts.wait_after_response(httpx.Response(503)) for _ in range(6)]
    limits = [0.5, 1, 2, 4, 8, 8]
    assert all(most / 2 <= wait <= most for wait, most in zip(waits, limits, strict=True))


def test_get_is_repeated_until_it_succeeds() -> None:
    with (
        answering([LIMITED, Response(DROPPED), Response(200, {"data": {"id": "key_1"}})]) as api,
        Client(api.url, "mp_k") as client,
    ):
        assert client.me.get()["id"] == "key_1"
    assert [request.path for request in api.requests] == ["/v1/me"] * 3


async def test_async_client_repeats_requests() -> None:
    with answering([LIMITED, Response(DROPPED), Response(200, {"data": {"id": "key_1"}})]) as api:
        async with AsyncClient(api.url, "mp_k") as client:
            assert (await client.me.get())["id"] == "key_1"
    assert len(api.requests) == 3


def test_repeated_post_has_the_same_idempotency_key() -> None:
    in_progress = {
        "code": "idempotency_in_progress",
        "message": "…",
        "status": 409,
        "requestId": "r",
    }
    script = [
        Response(DROPPED),
        Response(409, {"error": in_progress}),
        Response(201, {"data": DOMAIN}),
        Response(201, {"data": DOMAIN}),
    ]
    with answering(script) as api, Client(api.url, "mp_k") as client:
        client.domains.create({"name": "example.com"})
        client.domains.create({"name": "example.com"}, idempotency_key="mine")
    keys = [request.headers["idempotency-key"] for request in api.requests]
    assert len(set(keys[:3])) == 1
    assert keys[0] != keys[3] == "mine"


def test_patch_is_not_repeated_after_a_lost_connection() -> None:
    with (
        answering([Response(DROPPED)]) as api,
        Client(api.url, "mp_k") as client,
        pytest.raises(ConnectionFailed),
    ):
        client.alerts.change("alert_1", {"status": "acknowledged"})
    assert len(api.requests) == 1


def test_patch_is_repeated_if_it_was_not_executed() -> None:
    script = [LIMITED, Response(200, {"data": {"id": "alert_1"}})]
    with answering(script) as api, Client(api.url, "mp_k") as client:
        client.alerts.change("alert_1", {"status": "acknowledged"}, if_match='"e"')
    assert [request.headers["if-match"] for request in api.requests] == ['"e"', '"e"']


def test_conflict_is_not_repeated() -> None:
    error = {
        "code": "conflict",
        "message": "exists",
        "status": 409,
        "requestId": "r",
        "existingId": "dom_1",
    }
    with (
        answering([Response(409, {"error": error})]) as api,
        Client(api.url, "mp_k") as client,
        pytest.raises(Conflict) as raised,
    ):
        client.domains.create({"name": "example.com"})
    assert (raised.value.code, raised.value.existing_id) == ("conflict", "dom_1")


def test_number_of_attempts_is_bounded() -> None:
    with (
        answering([LIMITED] * 3) as api,
        Client(api.url, "mp_k", retries=QUICK) as client,
        pytest.raises(RateLimited),
    ):
        client.me.get()
    assert api.responses == []


def test_response_of_a_proxy_without_an_envelope_is_an_error() -> None:
    script = [Response(502, headers={"X-Request-Id": "r7"})] * 3
    with (
        answering(script) as api,
        Client(api.url, "mp_k", retries=QUICK) as client,
        pytest.raises(ServiceFailed) as raised,
    ):
        client.me.get()
    assert (raised.value.code, raised.value.status) == ("unknown", 502)
    assert raised.value.request_id == "r7"


def test_redirect_is_an_error_and_the_key_is_not_sent_on() -> None:
    with (
        answering([Response(302, headers={"Location": "https://other.example/"})]) as api,
        Client(api.url, "mp_k") as client,
        pytest.raises(ApiError),
    ):
        client.me.get()
    assert len(api.requests) == 1


def test_unreachable_service_is_an_error_of_the_connection() -> None:
    policy = RetryPolicy(max_attempts=2)
    with (
        Client("http://127.0.0.1:1", "mp_k", retries=policy) as client,
        pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1 could not be reached"),
    ):
        client.me.get()


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_value_that_would_lead_to_another_path_is_refused(value: str) -> None:
    with Client("http://127.0.0.1:1", "mp_k") as client, pytest.raises(ValueError, match="id"):
        client.domains.get(value)


def test_value_in_a_path_is_escaped() -> None:
    with answering([Response(200, {"data": DOMAIN})]) as api, Client(api.url, "mp_k") as client:
        client.domains.get("a/../b?c#d")
    assert api.requests[0].path == "/v1/domains/a%2F..%2Fb%3Fc%23d"


def test_upload_is_sent_without_the_api_key() -> None:
    stored = Response(202, {"data": {"files": []}})
    with answering([stored, stored]) as api, Client(api.url, "mp_k") as client:
        client.upload_report("https://watch.example/ingest/abc", b"1")
        client.upload_report("abc", b"2", upload_token="mu_t")
    assert [request.path for request in api.requests] == ["/ingest/abc"] * 2
    assert "authorization" not in api.requests[0].headers
    assert api.requests[1].headers["authorization"] == "Bearer mu_t"

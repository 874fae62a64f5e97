"""The blocking HTTPS client, for callers that send many requests to one host."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.network.session import LiveNetwork
from app.ports.dns import LookupFailed
from app.ports.http import Request
from app.ports.network import Fetch
from app.settings import Settings
from tests.support import receivers
from tests.support.receivers import HOST, LoopbackNetwork, Receiver
from tests.support.zones import Zone

SIZE = 3 * 1024 * 1024


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receivers.receiving(tmp_path) as receiver:
        monkeypatch.setenv("SSL_CERT_FILE", str(receiver.ca_file))
        receiver.pages["/large"] = bytes(range(256)) * (SIZE // 256)
        yield receiver


@pytest.fixture
def fetch(receiver: Receiver) -> Iterator[Fetch]:
    with LoopbackNetwork().fetching() as fetch:
        yield fetch


def test_requests_share_one_connection(receiver: Receiver, fetch: Fetch) -> None:
    request = Request(port=receiver.port, max_response_bytes=SIZE)
    bodies = [fetch(HOST, "/large", request, seconds=10).body for _ in range(3)]
    assert bodies == [receiver.pages["/large"]] * 3
    post = Request("POST", body=b"{}", port=receiver.port, max_response_bytes=SIZE)
    assert fetch(HOST, "/hook", post, seconds=10).status == 200
    assert receiver.connections == 1


def test_response_is_read_up_to_the_size_of_the_request(receiver: Receiver, fetch: Fetch) -> None:
    request = Request(port=receiver.port, max_response_bytes=SIZE - 1)
    page = fetch(HOST, "/large", request, seconds=10)
    assert (page.status, page.failure, page.body) == (200, "too_large", b"")


def test_request_without_a_size_is_a_page_with_a_connection_of_its_own(
    receiver: Receiver, fetch: Fetch
) -> None:
    receiver.pages["/small"] = b"small"
    for _ in range(2):
        assert fetch(HOST, "/small", Request(port=receiver.port), seconds=10).body == b"small"
    assert receiver.connections == 2


def test_server_that_is_too_slow_is_a_failure(receiver: Receiver, fetch: Fetch) -> None:
    receiver.answer = lambda _: (200, {"drip": "0.2"})
    post = Request("POST", body=b"{}", port=receiver.port, max_response_bytes=SIZE)
    with pytest.raises(LookupFailed, match="timeout"):
        fetch(HOST, "/hook", post, seconds=0.5)
    receiver.answer = lambda _: (200, {})
    assert fetch(HOST, "/hook", post, seconds=10).status == 200


def test_host_with_a_private_address_is_refused(receiver: Receiver) -> None:
    zone = Zone({(HOST, "A"): ["10.0.0.1"]})
    with LoopbackNetwork(zone).fetching() as fetch:
        page = fetch(HOST, "/large", Request(max_response_bytes=SIZE), seconds=10)
    assert page.failure == "refused_address"
    assert receiver.connections == 0


def test_host_can_have_another_address_but_needs_its_certificate(receiver: Receiver) -> None:
    hosts = (HOST, "other.test")
    settings = Settings(
        secret_key="k" * 32,
        database_url="sqlite:////nowhere.db",
        redis_url="redis://127.0.0.1:1/0",
        dns_nameservers=(("127.0.0.1", 1),),
        egress_connect_to=tuple((host, "127.0.0.1", receiver.port) for host in hosts),
    )
    request = Request(max_response_bytes=SIZE)
    with LiveNetwork(settings).fetching() as fetch:
        pages = [fetch(host, "/large", request, seconds=10) for host in hosts]
    assert [page.failure for page in pages] == [None, "tls"]
    assert pages[0].body == receiver.pages["/large"]
    [call] = receiver.calls
    assert call.headers["host"] == HOST

"""Large responses are compressed for clients that accept gzip."""

import gzip
import json
from typing import Any

import pytest
from flask import Flask

from tests.support import api_scans
from tests.support.api_client import Client
from tests.support.factories import make_domain

GZIP = {"Accept-Encoding": "gzip"}


def send(client: Client, path: str, method: str = "GET", **headers: str) -> Any:
    """The response as sent; the checks of the client read JSON only."""
    caller = client.app.test_client()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return caller.open(
        path, method=method, headers={"Authorization": f"Bearer {client.token}", **named}
    )


@pytest.fixture
def large(client: Client) -> Client:
    """A client with 50 domains, and a scan."""
    for number in range(50):
        make_domain(client.account_id, f"d{number}.test")
    client("POST", "/v1/domains", json={"name": "acme.test"})
    return client


def test_a_large_response_is_compressed_on_request(large: Client) -> None:
    plain = send(large, "/v1/domains?limit=50")
    packed = send(large, "/v1/domains?limit=50", Accept_Encoding="br, gzip;q=0.5")
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.data) == plain.data
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data) / 3


@pytest.mark.parametrize("accepted", ["", "br", "gzip;q=0", "identity"])
def test_clients_that_do_not_accept_gzip_get_the_plain_response(
    large: Client, accepted: str
) -> None:
    response = send(large, "/v1/domains?limit=50", Accept_Encoding=accepted)
    assert "Content-Encoding" not in response.headers
    assert len(json.loads(response.data)["data"]) == 50


def test_a_small_response_is_never_compressed(large: Client) -> None:
    response = send(large, "/v1/domains/acme.test", Accept_Encoding="gzip")
    assert "Content-Encoding" not in response.headers
    assert "Vary" not in response.headers


def test_each_representation_has_its_own_etag(client: Client) -> None:
    client("POST", "/v1/domains", json={"name": "acme.test"})
    path = f"/v1/scans/{api_scans.scan(client)['id']}"
    plain, packed = send(client, path), send(client, path, Accept_Encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert plain.headers["ETag"] != packed.headers["ETag"]
    for response, accepted in ((plain, ""), (packed, "gzip")):
        tag = response.headers["ETag"]
        again = send(client, path, If_None_Match=tag, Accept_Encoding=accepted)
        assert (again.status_code, again.headers["ETag"], again.data) == (304, tag, b"")
        assert again.headers["Vary"] == "Accept-Encoding"
    assert send(client, path, If_None_Match='"x"').status_code == 200


def test_if_match_takes_the_tag_of_a_compressed_response(client: Client) -> None:
    client("POST", "/v1/domains", json={"name": "acme.test"})
    tag = client("GET", "/v1/domains/acme.test").headers["ETag"]
    packed = tag[:-1] + '-gzip"'
    changed = client(
        "PATCH", "/v1/domains/acme.test", json={"schedule": "hourly"}, headers={"If-Match": packed}
    )
    assert changed.status_code == 200


def test_exports_are_compressed_as_streams(large: Client) -> None:
    plain = send(large, "/v1/domains?format=csv")
    packed = send(large, "/v1/domains?format=csv", Accept_Encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Length" not in packed.headers
    assert set(packed.headers.getlist("Vary")) == {"Accept", "Accept-Encoding"}
    assert gzip.decompress(packed.data) == plain.data


@pytest.mark.parametrize("is_read", [True, False])
def test_a_slot_is_free_after_a_compressed_export(large: Client, is_read: bool) -> None:
    for _ in range(5):  # two exports of an account may run at once
        response = send(large, "/v1/domains?format=csv", Accept_Encoding="gzip")
        assert response.status_code == 200
        if is_read:
            assert gzip.decompress(response.data)
        response.close()


def test_public_documents_are_compressed_and_the_dashboard_is_not(app: Flask) -> None:
    caller = app.test_client()
    document = caller.get("/openapi.json", headers=GZIP)
    assert json.loads(gzip.decompress(document.data))["openapi"] == "3.1.0"
    assert "Content-Encoding" not in caller.get("/login", headers=GZIP).headers

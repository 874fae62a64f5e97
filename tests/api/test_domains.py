"""Domains over HTTP, as a client uses them."""

from typing import Any

import pytest

from tests.support.api_client import Client
from tests.support.zones import Zone


def add(client: Client, name: str = "acme.test", **settings: Any) -> Any:
    return client.data("POST", "/v1/domains", 201, json={"name": name, **settings})


def test_domain_is_created_read_updated_and_deleted(client: Client) -> None:
    made = add(client, "ACME.test.", tags=["shop"], dkimSelectors=["s1"])
    assert (made["name"], made["tags"], made["dkimSelectors"]) == ("acme.test", ["shop"], ["s1"])
    assert made["verification"]["status"] == "verified"
    by_id = client.data("GET", f"/v1/domains/{made['id']}")
    assert by_id == client.data("GET", "/v1/domains/acme.test")
    changed = client.data("PATCH", "/v1/domains/acme.test", json={"usage": "parked"})
    assert (changed["usage"], changed["tags"]) == ("parked", ["shop"])
    assert client("DELETE", "/v1/domains/acme.test").status_code == 204
    assert client("GET", "/v1/domains/acme.test").status_code == 404


def test_location_header_has_the_url_of_the_new_domain(client: Client) -> None:
    response = client("POST", "/v1/domains", json={"name": "acme.test"})
    assert client("GET", response.headers["Location"]).status_code == 200


def test_duplicate_domain_is_a_conflict_that_names_the_first(client: Client) -> None:
    made = add(client)
    response = client("POST", "/v1/domains", json={"name": "Acme.Test"})
    assert response.status_code == 409
    assert response.json["error"]["existingId"] == made["id"]


def test_internationalized_domain_is_shown_in_both_forms(client: Client) -> None:
    made = add(client, "bücher.test")
    assert (made["name"], made["unicodeName"]) == ("xn--bcher-kva.test", "bücher.test")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "acme.test", "color": "red"}, "color"),
        ({"name": "192.0.2.1"}, "name"),
        ({"name": "co.uk"}, "name"),
        ({"name": f"{'a' * 64}.test"}, "name"),
        ({"name": 7}, "name"),
        ({"name": "acme.test", "tags": ["a,b"]}, "tags[0]"),
        ({"name": "acme.test", "usage": "none"}, "usage"),
        ({"name": "acme.test", "dkimSelectors": ["a b"]}, "dkimSelectors[0]"),
    ],
)
def test_validation_errors_name_their_field(client: Client, body: Any, field: str) -> None:
    response = client("POST", "/v1/domains", json=body)
    assert response.status_code == 400
    assert field in [detail["field"] for detail in response.json["error"]["details"]]


def test_invalid_name_does_not_stop_a_batch(client: Client) -> None:
    domains = [{"name": "a.test"}, {"name": "co.uk"}, {"name": "b.test"}]
    done = client.data("POST", "/v1/domains/batch", json={"domains": domains})
    assert (done["accepted"], done["rejected"]) == (2, 1)
    assert [item["status"] for item in done["results"]] == ["created", "rejected", "created"]


def test_list_is_paginated_by_cursors(client: Client) -> None:
    for name in "abcde":
        add(client, f"{name}.test")
    names: list[str] = []
    path = "/v1/domains?limit=2&sort=name"
    while path:
        response = client("GET", path)
        names += [item["name"] for item in response.json["data"]]
        pagination = response.json["meta"]["pagination"]
        assert ("Link" in response.headers) is pagination["hasMore"]
        following = pagination["nextCursor"]
        path = f"/v1/domains?limit=2&sort=name&cursor={following}" if following else ""
    assert names == [f"{name}.test" for name in "abcde"]


def test_cursor_is_valid_only_for_its_own_list(client: Client, stranger: Client) -> None:
    for name in "abc":
        add(client, f"{name}.test")
    cursor = client("GET", "/v1/domains?limit=1").json["meta"]["pagination"]["nextCursor"]
    for caller, path in (
        (stranger, f"/v1/domains?limit=1&cursor={cursor}"),
        (client, f"/v1/domains?limit=1&sort=name&cursor={cursor}"),
        (client, "/v1/domains?limit=1&cursor=AAAA"),
    ):
        response = caller("GET", path)
        assert response.status_code == 400
        assert response.json["error"]["details"][0]["field"] == "cursor"


def test_list_is_filtered(client: Client) -> None:
    add(client, "shop.test", tags=["shop"])
    add(client, "old.test", usage="parked")
    for query, names in (
        ("tag=shop", ["shop.test"]),
        ("usage=parked", ["old.test"]),
        ("q=hop", ["shop.test"]),
        ("verified=false", []),
        ("grade=A", []),
    ):
        matches = client.data("GET", f"/v1/domains?{query}")
        assert [item["name"] for item in matches] == names, query


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "color=red", "sort=age"])
def test_invalid_parameter_is_named(client: Client, query: str) -> None:
    response = client("GET", f"/v1/domains?{query}")
    assert response.status_code == 400
    assert response.json["error"]["details"][0]["field"] == query.partition("=")[0]


def test_unchanged_resource_is_304(client: Client) -> None:
    add(client)
    etag = client("GET", "/v1/domains/acme.test").headers["ETag"]
    again = client("GET", "/v1/domains/acme.test", headers={"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")


def test_update_with_an_outdated_etag_is_refused(client: Client) -> None:
    add(client)
    etag = client("GET", "/v1/domains/acme.test").headers["ETag"]
    change = {"json": {"tags": ["a"]}, "headers": {"If-Match": etag}}
    assert client("PATCH", "/v1/domains/acme.test", **change).status_code == 200
    second = client(
        "PATCH", "/v1/domains/acme.test", json={"tags": ["b"]}, headers={"If-Match": etag}
    )
    assert second.status_code == 412


def test_dns_status_exists_before_the_first_scan(client: Client) -> None:
    add(client)
    status = client.data("GET", "/v1/domains/acme.test/dns")
    assert (status["checks"], status["score"]) == ([], None)


def test_spf_is_evaluated_for_an_address(client: Client, zone: Zone) -> None:
    add(client)
    path = "/v1/domains/acme.test/spf/evaluate"
    assert client.data("POST", path, json={"ip": "192.0.2.1"})["result"] == "pass"
    assert client.data("POST", path, json={"ip": "192.0.2.2"})["result"] == "fail"
    assert client("POST", path, json={"ip": "here"}).status_code == 400


def test_draft_record_is_validated(client: Client) -> None:
    draft = {"check": "spf", "name": "acme.test", "records": ["v=spf1 +all"]}
    evaluated = client.data("POST", "/v1/checks/evaluate", json=draft)
    assert evaluated["verdict"] == "fail"
    assert "spf.all_pass" in [finding["code"] for finding in evaluated["findings"]]

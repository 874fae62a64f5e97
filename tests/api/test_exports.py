"""Lists of domains, scans, alerts and events as CSV and NDJSON."""

import csv
import io
import json
from typing import Any

import pytest

from tests.support import api_scans
from tests.support.api_client import Client

LISTS = ("domains", "scans", "alerts", "events")


@pytest.fixture
def scanned(client: Client) -> Client:
    """A client whose account has three domains, and a scan with alerts."""
    for name in ("acme.test", "b.test", "c.test"):
        client("POST", "/v1/domains", json={"name": name, "tags": ["shop", "=1+1"]})
    api_scans.scan(client)
    return client


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def pages(client: Client, path: str) -> list[dict[str, Any]]:
    """All items of the list, page by page."""
    items, cursor = [], ""
    while True:
        page = client("GET", f"{path}limit=2{cursor}").json
        items += page["data"]
        if page["meta"]["pagination"]["nextCursor"] is None:
            return items
        cursor = f"&cursor={page['meta']['pagination']['nextCursor']}"


@pytest.mark.parametrize("how", ["format", "accept"])
@pytest.mark.parametrize("name", LISTS)
def test_lists_are_exported_as_a_whole(scanned: Client, name: str, how: str) -> None:
    items = pages(scanned, f"/v1/{name}?")
    assert items
    if how == "format":
        table = scanned("GET", f"/v1/{name}?format=csv")
        lines = scanned("GET", f"/v1/{name}?format=ndjson")
    else:
        table = scanned("GET", f"/v1/{name}", headers={"Accept": "text/csv"})
        lines = scanned("GET", f"/v1/{name}", headers={"Accept": "application/x-ndjson"})
    assert table.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert table.headers["Content-Disposition"] == f'attachment; filename="{name}.csv"'
    assert [row["id"] for row in rows(table.text)] == [item["id"] for item in items]
    assert lines.headers["Content-Type"] == "application/x-ndjson"
    assert [json.loads(line) for line in lines.text.splitlines()] == items


def test_filters_and_order_hold_for_exports(scanned: Client) -> None:
    table = rows(scanned("GET", "/v1/domains?format=csv&sort=name&q=test").text)
    assert [row["name"] for row in table] == ["acme.test", "b.test", "c.test"]
    first = pages(scanned, "/v1/events?")[0]["sequence"]
    table = rows(scanned("GET", f"/v1/events?format=csv&since={first}").text)
    assert table[0]["sequence"] == str(first + 1)
    assert scanned("GET", "/v1/alerts?format=csv&domain=none.test").status_code == 404


def test_nested_values_have_columns_also_where_they_are_null(scanned: Client) -> None:
    scan = rows(scanned("GET", "/v1/scans?format=csv").text)[0]
    assert scan["score.grade"] in tuple("ABCDF")
    assert scan["summary.fail"].isdigit()
    queued = scanned.data("POST", "/v1/domains/b.test/scans", 202)
    table = rows(scanned("GET", "/v1/scans?format=csv").text)
    row = next(row for row in table if row["id"] == queued["id"])
    assert row["score.grade"] == row["summary.fail"] == ""


def test_open_alerts_are_exported_if_they_are_included(scanned: Client) -> None:
    lines = scanned("GET", "/v1/domains?format=ndjson&include=openAlerts&sort=name").text
    first = json.loads(lines.splitlines()[0])
    assert first["openAlerts"]["critical"] > 0
    row = rows(scanned("GET", "/v1/domains?format=csv&include=openAlerts&sort=name").text)[0]
    assert row["openAlerts.critical"] == str(first["openAlerts"]["critical"])


def test_cells_that_look_like_formulas_are_text(scanned: Client) -> None:
    row = rows(scanned("GET", "/v1/domains?format=csv").text)[0]
    assert row["tags"] == '["shop","=1+1"]'


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("/v1/domains", "application/xml", 406),
        ("/v1/domains", "application/json;q=0", 406),
        ("/v1/domains", "text/html, */*;q=0.1", 200),
        ("/v1/domains", "application/*", 200),
        ("/v1/me", "text/csv", 406),
        ("/v1/me", "application/json", 200),
        ("/v1/records", "application/json", 406),
        ("/docs", "text/html,application/xhtml+xml;q=0.9", 200),
        ("/healthz", "text/plain", 406),
        ("/openapi.json", "application/json", 200),
    ],
)
def test_accept_without_an_available_type_is_refused(
    client: Client, path: str, accept: str, status: int
) -> None:
    response = client("GET", path, headers={"Accept": accept})
    assert response.status_code == status
    if status == 406:
        assert response.json["error"]["code"] == "not_acceptable"
        assert "Available: " in response.json["error"]["message"]


def test_a_refused_request_changes_nothing(client: Client) -> None:
    body, headers = {"name": "acme.test"}, {"Accept": "application/xml"}
    assert client("POST", "/v1/domains", json=body, headers=headers).status_code == 406
    assert client.data("GET", "/v1/domains") == []

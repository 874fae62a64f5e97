"""Scans, batches, DNS status and alerts over HTTP."""

from typing import Any

import pytest

from tests.support.api_client import Client
from tests.support.api_scans import BAD, run, scan


@pytest.fixture
def domain(client: Client) -> str:
    client.data("POST", "/v1/domains", 201, json={"name": "acme.test"})
    return "acme.test"


def test_scan_is_queued_and_then_completed(client: Client, domain: str) -> None:
    response = client("POST", f"/v1/domains/{domain}/scans")
    assert response.status_code == 202
    scan = client.data("GET", response.headers["Location"])
    assert (scan["status"], scan["checks"]) == ("queued", None)
    done = run(client, scan)
    assert done["status"] == "completed"
    verdicts = {check["check"]: check["verdict"] for check in done["checks"]}
    assert (verdicts["spf"], verdicts["dmarc"]) == ("fail", "ok")
    assert len(done["alerts"]["opened"]) >= 1


def test_second_request_returns_the_scan_in_progress(client: Client, domain: str) -> None:
    first = client.data("POST", f"/v1/domains/{domain}/scans", 202)
    second = client.data("POST", f"/v1/domains/{domain}/scans", 202)
    assert (first["coalesced"], second["coalesced"]) == (False, True)
    assert first["id"] == second["id"]


def test_recent_scan_is_returned_instead_of_a_new_one(client: Client, domain: str) -> None:
    done = scan(client)
    path = f"/v1/domains/{domain}/scans"
    again = client.data("POST", path, 200, json={"maxAgeSeconds": 600})
    assert again["id"] == done["id"]
    assert client.data("POST", path, 202)["id"] != done["id"]


def test_repeated_idempotency_key_returns_the_first_response(client: Client, domain: str) -> None:
    path, options = f"/v1/domains/{domain}/scans", {"headers": {"Idempotency-Key": "once"}}
    first = client("POST", path, **options)
    run(client, first.json["data"])
    second = client("POST", path, **options)
    assert (second.status_code, second.data) == (202, first.data)
    assert second.headers["Idempotent-Replayed"] == "true"
    other = client("POST", path, json={"maxAgeSeconds": 9}, **options)
    assert other.status_code == 422


def test_refused_request_can_be_repeated_with_its_key(client: Client) -> None:
    options = {"headers": {"Idempotency-Key": "k"}}
    assert client("POST", "/v1/domains/acme.test/scans", **options).status_code == 404
    client.data("POST", "/v1/domains", 201, json={"name": "acme.test"})
    assert client("POST", "/v1/domains/acme.test/scans", **options).status_code == 202


def test_batch_shows_its_progress(client: Client, domain: str) -> None:
    client.data("POST", "/v1/domains", 201, json={"name": "b.test"})
    response = client("POST", "/v1/scans", json={"domains": ["acme.test", "b.test"]})
    batch = response.json["data"]
    assert (response.status_code, batch["status"], batch["counts"]) == (
        202,
        "running",
        {"queued": 2},
    )
    for member in batch["scans"]:
        run(client, member)
    done = client.data("GET", response.headers["Location"])
    assert (done["status"], done["counts"]) == ("completed", {"completed": 2})


@pytest.mark.parametrize(
    "body", [{}, {"domains": []}, {"all": True, "tag": "x"}, {"domains": ["unknown.test"]}]
)
def test_empty_batch_is_refused(client: Client, body: Any) -> None:
    assert client("POST", "/v1/scans", json=body).status_code == 400


def test_queued_scan_can_be_cancelled_and_finished_scan_cannot(client: Client, domain: str) -> None:
    queued = client.data("POST", f"/v1/domains/{domain}/scans", 202)
    assert client.data("POST", f"/v1/scans/{queued['id']}/cancel")["status"] == "cancelled"
    assert client("POST", f"/v1/scans/{queued['id']}/cancel").status_code == 409


def test_two_scans_are_compared(client: Client, domain: str) -> None:
    first = scan(client)
    second = scan(client, {**BAD, "acme.test": ["v=spf1 mx -all"]})
    difference = client.data("GET", f"/v1/scans/{second['id']}/diff")
    assert difference["baseId"] == first["id"]
    assert [(check["check"], check["cause"]) for check in difference["checks"]] == [("spf", "dns")]


def test_dns_status_has_results_and_recommendations(client: Client, domain: str) -> None:
    scan(client)
    status = client.data("GET", f"/v1/domains/{domain}/dns")
    assert status["score"]["recommendations"][0]["code"] == "spf.multiple_records"
    assert "spf" in [check["check"] for check in status["checks"]]


def test_dns_changes_are_listed(client: Client, domain: str) -> None:
    scan(client)
    scan(client, {**BAD, "acme.test": ["v=spf1 mx -all"]})
    changes = client.data("GET", f"/v1/domains/{domain}/dns/history?check=spf")
    assert [(change["name"], change["after"]) for change in changes] == [
        ("acme.test", ["v=spf1 mx -all"])
    ]


def test_alert_is_acknowledged_with_its_history(client: Client, domain: str) -> None:
    scan(client)
    alert = client.data("GET", "/v1/alerts?type=spf.multiple_records")[0]
    assert alert["fix"]["after"] == "v=spf1 mx -all"
    path = f"/v1/alerts/{alert['id']}"
    changed = client.data("PATCH", path, json={"status": "acknowledged", "note": "mine"})
    assert changed["status"] == "acknowledged"
    history = client.data("GET", f"{path}/history")
    assert [(row["fromStatus"], row["toStatus"]) for row in history] == [
        (None, "open"),
        ("open", "acknowledged"),
    ]
    assert history[1]["actor"].startswith("key:")


def test_many_alerts_are_updated_in_one_request(client: Client, domain: str) -> None:
    scan(client)
    alert = client.data("GET", "/v1/alerts?type=spf.multiple_records")[0]
    body = {"ids": [alert["id"], "alert_nobody"], "status": "dismissed", "note": "known"}
    done = client.data("POST", "/v1/alerts/batch", json=body)
    assert (done["changed"], done["rejected"]) == (1, 1)


def test_accepted_risks_have_their_own_list(client: Client, domain: str) -> None:
    scan(client)
    everything = {alert["id"] for alert in client.data("GET", "/v1/alerts")}
    chosen, dismissed, *_ = sorted(everything)
    risk = {"acceptedUntil": "2100-01-01T00:00:00Z", "riskOwner": "Ada", "note": "we retire it"}
    for alert, more in ((chosen, risk), (dismissed, {})):
        client.data("PATCH", f"/v1/alerts/{alert}", json={"status": "dismissed", **more})
    listed = client.data("GET", "/v1/alerts?accepted=true")
    assert [(alert["id"], alert["riskOwner"]) for alert in listed] == [(chosen, "Ada")]
    others = client.data("GET", "/v1/alerts?accepted=false")
    assert {alert["id"] for alert in others} == everything - {chosen}
    client.data("PATCH", f"/v1/alerts/{chosen}", json={"status": "open"})
    assert client.data("GET", "/v1/alerts?accepted=true") == []
    refused = client("GET", "/v1/alerts?accepted=perhaps")
    assert (refused.status_code, refused.json["error"]["details"][0]["field"]) == (400, "accepted")


def test_every_response_with_a_domain_has_the_number_of_its_open_alerts(
    client: Client, domain: str
) -> None:
    scan(client)
    responses = [
        client.data("GET", "/v1/domains/acme.test"),
        client.data("GET", "/v1/domains?include=openAlerts")[0],
        client.data("PATCH", "/v1/domains/acme.test", json={"tags": ["shop"]}),
        client.data("POST", "/v1/domains/acme.test/verify"),
    ]
    assert [response["openAlerts"]["critical"] for response in responses] == [1, 1, 1, 1]

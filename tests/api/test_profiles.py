"""Compliance profiles over HTTP."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.db.transactions import transaction
from app.models import AuditEvent
from app.models.keys import Scope
from app.services.core.profiles import load
from tests.support import api_scans
from tests.support.api_client import Client, make_client
from tests.support.factories import make_account, make_domain
from tests.support.zones import SERVFAIL

GOOD: dict[Any, Any] = {
    **api_scans.BAD,
    "acme.test": ["v=spf1 mx -all"],
    "_dmarc.acme.test": ["v=DMARC1; p=reject; rua=mailto:d@acme.test"],
}


@pytest.fixture
def domain(client: Client) -> str:
    client.data("POST", "/v1/domains", 201, json={"name": "acme.test"})
    return "acme.test"


def results(client: Client) -> dict[str, Any]:
    data = client.data("GET", "/v1/domains/acme.test/profiles")
    return {result["id"]: result for result in data}


def test_catalog_lists_every_profile_with_its_clauses(client: Client) -> None:
    data = client.data("GET", "/v1/profiles")
    assert [profile["id"] for profile in data] == [profile.id for profile in load(None)]
    for profile in data:
        for clause in profile["clauses"]:
            assert bool(clause["checks"]) is (clause["notObservableReason"] is None)
            assert bool(clause["remediation"]) is bool(clause["checks"])


def test_everything_is_undetermined_before_the_first_scan(client: Client, domain: str) -> None:
    for result in results(client).values():
        assert result["status"] == "undetermined"
        statuses = {clause["status"] for clause in result["clauses"]}
        assert statuses <= {"undetermined", "not_observable"}


def test_failing_clause_names_its_finding_and_what_to_do(client: Client, domain: str) -> None:
    api_scans.scan(client)
    microsoft = results(client)["microsoft-high-volume-2025"]
    assert microsoft["status"] == "fail"
    clauses = {clause["id"]: clause for clause in microsoft["clauses"]}
    spf = clauses["spf"]
    assert [finding["code"] for finding in spf["findings"]] == ["spf.multiple_records"]
    assert spf["facts"] == [
        {"fact": "spf.result", "expected": "valid", "observed": "permerror"},
    ]
    assert spf["remediation"]
    assert clauses["dmarc"]["status"] == "pass"
    assert clauses["dmarc"]["remediation"] is None


def test_failed_lookup_makes_a_passing_clause_undetermined(client: Client, domain: str) -> None:
    client.data("PATCH", "/v1/domains/acme.test", json={"usage": "parked"})
    api_scans.scan(client, GOOD)
    assert results(client)["pci-dss-5-4-1"]["summary"] == "Passes all clauses that can be observed"
    api_scans.scan(client, {**GOOD, "_dmarc.acme.test": SERVFAIL})
    pci = results(client)["pci-dss-5-4-1"]
    assert pci["status"] == "undetermined"
    assert {clause["id"]: clause["status"] for clause in pci["clauses"]} == {
        "dmarc": "undetermined",
        "spf": "pass",
        "incoming-protection": "not_observable",
        "processes": "not_observable",
    }


def test_other_accounts_get_404(client: Client, stranger: Client, domain: str) -> None:
    assert stranger("GET", "/v1/domains/acme.test/profiles").status_code == 404


@pytest.mark.parametrize("path", ["/v1/profiles", "/v1/domains/acme.test/profiles"])
def test_key_without_the_scope_is_refused(app: Flask, path: str) -> None:
    account_id = make_account().id
    make_domain(account_id, "acme.test")
    assert make_client(app, account_id, [Scope.ALERTS_READ])("GET", path).status_code == 403
    assert make_client(app, account_id, [Scope.DOMAINS_READ])("GET", path).status_code == 200


def followed(client: Client) -> list[str]:
    return [profile["id"] for profile in client.data("GET", "/v1/profiles") if profile["followed"]]


def test_profiles_are_followed_one_by_one(client: Client, stranger: Client) -> None:
    for profile in ("pci-dss-5-4-1", "cisa-bod-18-01", "pci-dss-5-4-1"):
        changed = client.data("PATCH", f"/v1/profiles/{profile}", json={"followed": True})
        assert (changed["id"], changed["followed"]) == (profile, True)
    assert sorted(followed(client)) == ["cisa-bod-18-01", "pci-dss-5-4-1"]
    for _ in range(2):
        changed = client.data("PATCH", "/v1/profiles/pci-dss-5-4-1", json={"followed": False})
        assert changed["followed"] is False
    assert followed(client) == ["cisa-bod-18-01"]
    assert followed(stranger) == []


def test_only_a_change_of_the_followed_profiles_is_in_the_audit_log(client: Client) -> None:
    for value in (True, True, False, False):
        client.data("PATCH", "/v1/profiles/pci-dss-5-4-1", json={"followed": value})
    with transaction(readonly=True) as session:
        rows = session.scalars(
            select(AuditEvent).where(AuditEvent.action == "account.profiles_followed")
        ).all()
    assert [row.actor.partition(":")[0] for row in rows] == ["key", "key"]


@pytest.mark.parametrize(
    ("profile", "body", "status"),
    [
        ("iso-0", {"followed": True}, 404),
        ("pci-dss-5-4-1", {}, 400),
        ("pci-dss-5-4-1", {"followed": "true"}, 400),
        ("pci-dss-5-4-1", {"followed": None}, 400),
        ("pci-dss-5-4-1", {"followed": True, "name": "x"}, 400),
    ],
)
def test_unknown_profile_or_value_is_refused(
    client: Client, profile: str, body: Any, status: int
) -> None:
    assert client("PATCH", f"/v1/profiles/{profile}", json=body).status_code == status
    assert followed(client) == []

"""The alert on a compliance profile that a domain passed before and fails now."""

from typing import Any

import pytest
from flask import Flask

from app.errors import InvalidRequest
from app.services.domains import profiles
from tests.support import api_scans
from tests.support.api_client import Client, make_client
from tests.support.factories import ACTOR, make_account
from tests.support.zones import SERVFAIL

PCI = "pci-dss-5-4-1"
GOOD: dict[Any, Any] = {**api_scans.BAD, "acme.test": ["v=spf1 -all"]}
WORSE = {**GOOD, "_dmarc.acme.test": ["v=DMARC1; p=none; rua=mailto:d@acme.test"]}
UNKNOWN = {**GOOD, "_dmarc.acme.test": SERVFAIL}


class Owner:
    """An account with a parked domain, and a client of its API."""

    def __init__(self, app: Flask) -> None:
        self.account_id = make_account().id
        self.client: Client = make_client(app, self.account_id)
        body = {"name": "acme.test", "usage": "parked"}
        self.client.data("POST", "/v1/domains", 201, json=body)

    def follow(self, *profile_ids: str) -> None:
        profiles.follow(self.account_id, profile_ids, actor=ACTOR)

    def scan(self, records: Any) -> None:
        api_scans.scan(self.client, records)

    def alerts(self) -> list[tuple[str, str]]:
        data = self.client.data("GET", "/v1/alerts?type=profile.lost")
        return [(alert["subject"], alert["status"]) for alert in data]

    def names(self, result: str) -> list[str]:
        query = f"/v1/domains?profile={PCI}&profileResult={result}"
        return [domain["name"] for domain in self.client.data("GET", query)]


@pytest.fixture
def owner(app: Flask) -> Owner:
    return Owner(app)


def test_followed_profile_that_is_lost_opens_an_alert_until_it_passes_again(owner: Owner) -> None:
    owner.follow(PCI)
    owner.scan(GOOD)
    assert owner.alerts() == []
    owner.scan(WORSE)
    owner.scan(WORSE)
    assert owner.alerts() == [(PCI, "open")]
    [alert] = owner.client.data("GET", "/v1/alerts?type=profile.lost")
    assert alert["severity"] == "medium"
    assert alert["evidence"]["profile"] == PCI
    assert alert["evidence"]["findings"] == ["dmarc.policy_none"]
    owner.scan(GOOD)
    assert owner.alerts() == [(PCI, "resolved")]


def test_undetermined_result_neither_opens_nor_resolves_the_alert(owner: Owner) -> None:
    owner.follow(PCI)
    owner.scan(GOOD)
    owner.scan(UNKNOWN)
    assert owner.alerts() == []
    owner.scan(WORSE)
    owner.scan(UNKNOWN)
    assert owner.alerts() == [(PCI, "open")]


def test_profile_that_never_passed_is_not_lost(owner: Owner) -> None:
    owner.follow(PCI)
    owner.scan(WORSE)
    owner.scan(WORSE)
    assert owner.alerts() == []


def test_no_profile_is_followed_by_default(owner: Owner) -> None:
    owner.scan(GOOD)
    owner.scan(WORSE)
    assert owner.alerts() == []
    owner.follow(PCI)  # it was lost before
    owner.scan(WORSE)
    assert owner.alerts() == []


def test_profile_that_is_no_longer_followed_resolves_its_alert(owner: Owner) -> None:
    owner.follow(PCI)
    owner.scan(GOOD)
    owner.scan(WORSE)
    owner.follow()
    owner.scan(WORSE)
    assert owner.alerts() == [(PCI, "resolved")]


def test_catalog_says_which_profiles_the_account_follows(owner: Owner) -> None:
    owner.follow(PCI)
    data = owner.client.data("GET", "/v1/profiles")
    assert [profile["id"] for profile in data if profile["followed"]] == [PCI]
    with pytest.raises(InvalidRequest, match="unknown profile"):
        owner.follow("iso-0")


def test_domains_are_filtered_by_the_result_of_the_last_scan(owner: Owner) -> None:
    assert owner.names("pass") == owner.names("undetermined") == []
    owner.scan(GOOD)
    assert (owner.names("pass"), owner.names("fail")) == (["acme.test"], [])
    owner.scan(WORSE)
    assert (owner.names("pass"), owner.names("fail")) == ([], ["acme.test"])
    owner.scan(UNKNOWN)
    assert (owner.names("undetermined"), owner.names("fail")) == (["acme.test"], [])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (f"profile={PCI}", "profileResult"),
        ("profileResult=pass", "profile"),
        ("profile=iso-0&profileResult=pass", "profile"),
        (f"profile={PCI}&profileResult=lost", "profileResult"),
    ],
)
def test_invalid_filter_is_refused(owner: Owner, query: str, field: str) -> None:
    response = owner.client("GET", f"/v1/domains?{query}")
    assert response.status_code == 400
    assert [detail["field"] for detail in response.json["error"]["details"]] == [field]

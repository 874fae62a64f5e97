"""The analytics routes: responses, refused parameters and record links."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app import ids
from app.models import Domain
from app.protocols.report_formats.aggregate import SpfResult
from app.services.core import domain_lookup
from tests.support.api_client import Client
from tests.support.stored_reports import DAY, Report, record, store, store_tls

START = datetime(2026, 11, 1, tzinfo=UTC)
SPAN = "from=2026-11-01T00:00:00Z&to=2026-11-21T00:00:00Z"
MAILCHIMP = record(
    "203.0.113.77",
    20,
    dkim=False,
    spf=False,
    dkim_results=(),
    disposition="quarantine",
    spf_results=(SpfResult("x.mcsv.net", "mfrom", "pass"),),
)


@pytest.fixture
def domain(client: Client) -> Domain:
    """A domain with 20 days of reports: 1,000 messages a day, two in a hundred not aligned."""
    client.data("POST", "/v1/domains", 201, json={"name": "acme.test"})
    row = domain_lookup.find(client.account_id, "acme.test")
    for day in range(20):
        store(row, Report([record(count=980), MAILCHIMP], begin=START + day * DAY))
    return row


def get(client: Client, what: str, more: str = "") -> Any:
    return client.data("GET", f"/v1/reports/analytics/{what}?domain=acme.test&{SPAN}{more}")


def test_mail_is_counted_by_day_and_group(client: Client, domain: Domain) -> None:
    answer = get(client, "dmarc", "&groupBy=disposition&tz=Europe/Berlin")
    assert answer["totals"]["messages"] == 20_000
    assert answer["totals"]["passRate"] == pytest.approx(0.98)
    assert answer["previousPeriod"]["messages"] == 0
    assert answer["previousPeriod"]["passRate"] is None
    assert [group["key"] for group in answer["groups"]] == ["none", "quarantine"]
    assert len(answer["series"]) == len(answer["groups"][0]["series"]) == 21
    assert answer["series"][0]["start"] == "2026-11-01T00:00:00+01:00"


def test_sources_have_their_classification(client: Client, domain: Domain) -> None:
    own, service = get(client, "sources")["sources"]
    assert (own["key"], own["classification"], own["messages"]) == ("own", "own", 19_600)
    assert (service["name"], service["classification"]) == ("Mailchimp", "unknown")
    assert service["addresses"][0]["address"] == "203.0.113.77"
    assert get(client, "sources", "&limit=1")["other"]["messages"] == 400


def test_readiness_lists_blockers(client: Client, domain: Domain) -> None:
    answer = get(client, "readiness")
    assert answer["ready"] is False
    assert answer["unmetRequirements"] == ["a scan of the DMARC record"]
    (blocker,) = answer["steps"][0]["blockers"]
    assert (blocker["source"], blocker["messages"]) == ("service:Mailchimp", 400)


def test_readiness_lists_caveats(client: Client, domain: Domain) -> None:
    assert [step["caveats"] for step in get(client, "readiness")["steps"]] == [[], [], []]
    forged = record("203.0.113.66", 7, dkim=False, spf=False, header_from="shop.acme.test")
    store(domain, Report([forged]))
    steps = {step["tag"]: step["caveats"] for step in get(client, "readiness")["steps"]}
    assert (steps["p"], steps["sp"]) == ([], [])
    [unknown] = steps["np"]
    assert unknown["messages"] == 7
    assert "whether shop.acme.test exist" in unknown["description"]


def test_policy_is_simulated(client: Client, domain: Domain) -> None:
    body = {"domain": "acme.test", "policy": {"p": "reject"}, "from": "2026-11-01T00:00:00Z"}
    body["to"] = "2026-11-21T00:00:00Z"
    answer = client.data("POST", "/v1/reports/analytics/simulate", json=body)
    assert (answer["affected"], answer["newlyAffected"]) == (400, 0)
    assert [source["name"] for source in answer["sources"]] == ["Mailchimp"]
    assert [(reporter["reporter"], reporter["messages"]) for reporter in answer["reporters"]] == [
        ("google.com", 400)
    ]


def test_reporters_are_listed_with_days_without_reports(client: Client, domain: Domain) -> None:
    store(domain, Report([record()], begin=START + 25 * DAY, reporter="late.example"))
    path = "/v1/reports/analytics/reporters?domain=acme.test&from=2026-11-01T00:00:00Z"
    answer = client.data("GET", f"{path}&to=2026-12-01T00:00:00Z")
    assert [reporter["reporter"] for reporter in answer["reporters"]] == [
        "google.com",
        "late.example",
    ]
    assert answer["gaps"] == [
        {"from": "2026-11-21T00:00:00.000Z", "to": "2026-11-26T00:00:00.000Z"}
    ]


def test_overlapping_tls_policies_are_marked_and_listed_separately(
    client: Client, domain: Domain
) -> None:
    store_tls(domain, ("sts", 100, 3), ("tlsa", 90, 0))
    answer = get(client, "tls-rpt")
    assert answer["totals"]["overlapping"] is True
    assert [policy_type["policyType"] for policy_type in answer["policyTypes"]] == ["sts", "tlsa"]
    assert answer["policyTypes"][0]["failureRate"] == pytest.approx(3 / 103)
    (host,) = answer["mxHosts"]
    assert (host["host"], host["sessions"]) == ("mx.acme.test", 3)
    assert host["resultTypes"] == {"certificate-expired": 3}
    assert answer["series"][0]["failed"] == 3


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("tz=Nowhere/Land", "tz"),
        ("tz=../../etc/passwd", "tz"),
        ("from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z", "from"),
        ("from=2020-01-01T00:00:00Z&to=2026-11-01T00:00:00Z", "from"),
        ("to=9999-12-31T23:59:59Z", "to"),
        ("from=2026-11-01", "from"),
        ("interval=minute", "interval"),
        ("interval=hour&from=2026-01-01T00:00:00Z&to=2026-11-01T00:00:00Z", "interval"),
        ("groupBy=colour", "groupBy"),
        ("colour=red", "colour"),
    ],
)
def test_invalid_analytics_parameter_is_named(client: Client, query: str, field: str) -> None:
    client.data("POST", "/v1/domains", 201, json={"name": "acme.test"})
    response = client("GET", f"/v1/reports/analytics/dmarc?domain=acme.test&{query}")
    assert response.status_code == 400
    assert [detail["field"] for detail in response.json["error"]["details"]] == [field]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"policy": {"p": "block"}}, "policy.p"),
        ({"policy": {"adkim": "x"}}, "policy.adkim"),
        ({"removeSpf": ["include:unused.test"]}, "removeSpf"),
        ({"addDkim": ["service:Unknown"]}, "addDkim"),
        ({"removeSpf": ["x"] * 51}, "removeSpf"),
    ],
)
def test_invalid_simulation_field_is_named(client: Client, body: Any, field: str) -> None:
    client.data("POST", "/v1/domains", 201, json={"name": "acme.test"})
    response = client(
        "POST", "/v1/reports/analytics/simulate", json={"domain": "acme.test", **body}
    )
    assert response.status_code == 400
    assert [detail["field"] for detail in response.json["error"]["details"]] == [field]


@pytest.mark.parametrize("what", ["dmarc", "tls-rpt", "sources", "readiness", "reporters"])
def test_domain_of_another_account_is_not_found(
    client: Client, stranger: Client, domain: Domain, what: str
) -> None:
    for ref in ("acme.test", ids.public("dom", domain.id), "unknown.test"):
        response = stranger("GET", f"/v1/reports/analytics/{what}?domain={ref}")
        assert response.status_code == 404
    body = {"domain": "acme.test"}
    assert stranger("POST", "/v1/reports/analytics/simulate", json=body).status_code == 404


@pytest.mark.parametrize("what", ["dmarc", "tls-rpt", "sources", "readiness", "reporters"])
def test_domain_without_reports_has_empty_analytics(client: Client, what: str) -> None:
    client.data("POST", "/v1/domains", 201, json={"name": "acme.test"})
    get(client, what, "&groupBy=source" if what == "dmarc" else "")


def test_default_period_is_the_last_thirty_days(client: Client) -> None:
    client.data("POST", "/v1/domains", 201, json={"name": "acme.test"})
    answer = client.data("GET", "/v1/reports/analytics/dmarc?domain=acme.test&tz=Asia/Kolkata")
    assert len(answer["series"]) == 30
    age = datetime.now(UTC) - datetime.fromisoformat(answer["to"])
    assert abs(age) < timedelta(minutes=5)

"""The policies behind a figure of TLS sessions: their sum, their order, and their exports."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app import ids
from app.analysis.mail.periods import MAX_COUNT
from app.models import Domain
from app.services.analytics import tls
from app.services.domains import domains
from app.services.reports import tls_records
from tests.support.api_client import Client
from tests.support.api_reports import listed, rows
from tests.support.factories import make_domain
from tests.support.stored_reports import DAY, store_tls_report, tls_failure, tls_policy

START = datetime(2026, 3, 20, tzinfo=UTC)  # clocks turn in these weeks
LIST = "/v1/reports/tls-rpt/records?domain=acme.test"
COUNTS = st.sampled_from([0, 1, 2, 7, 5_000, MAX_COUNT, 2**63 - 1])
FAILURES = st.builds(
    tls_failure,
    result_type=st.sampled_from(["certificate-expired", "odd & other: 100 %", "é", 'a "b" ']),
    sessions=COUNTS,
    mx=st.sampled_from([None, "mx1.acme.test", "MX1.acme.test", "x, y & é", "null", "[]"]),
)
POLICIES = st.builds(
    tls_policy,
    policy_type=st.sampled_from(["sts", "tlsa", "no-policy-found", "a&b=c"]),
    successful=COUNTS,
    failed=COUNTS,
    failures=st.lists(FAILURES, max_size=4),
)
REPORTS = st.fixed_dictionaries(
    {
        "policies": st.lists(POLICIES, min_size=1, max_size=3),
        "at": st.integers(0, 60 * 24 * 20).map(lambda minutes: START + timedelta(minutes=minutes)),
        "reporter": st.sampled_from(["google.com", "a & b, ltd."]),
        "provenance": st.sampled_from(["token", "unverified"]),
    }
)
many = hypothesis_settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def domain(client: Client) -> Domain:
    return make_domain(client.account_id, "acme.test")


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def sessions(client: Client, link: str) -> tuple[int, int]:
    """Return the successful and failed sessions of the listed policies."""
    policies = list(listed(client, link))
    return sum(policy["successful"] for policy in policies), sum(
        policy["failed"] for policy in policies
    )


def failed(client: Client, link: str) -> int:
    """Return the sum of the listed failures."""
    return sum(policy["failedSessions"] for policy in listed(client, link))


def check(client: Client, answer: Any) -> None:
    """Every figure links to its records."""
    figures = (
        answer["totals"],
        answer["previousPeriod"],
        *answer["policyTypes"],
        *answer["reporters"],
    )
    for figure in figures:
        expected = figure["successful"], figure["failed"]
        assert sessions(client, figure["recordsUrl"]) == expected
    for parts in (answer["policyTypes"], answer["reporters"]):
        order = [part["successful"] + part["failed"] for part in parts]
        assert order == sorted(order, reverse=True)
    for figure in (*answer["resultTypes"], *answer["mxHosts"]):
        assert failed(client, figure["recordsUrl"]) == figure["sessions"]
    for host in answer["mxHosts"]:
        for kind, count in host["resultTypes"].items():
            assert failed(client, f"{host['recordsUrl']}&resultType={quote(kind)}") == count
    starts = [quote(interval["start"]) for interval in answer["series"]]
    bounds = [quote(answer["from"]), *starts[1:], quote(answer["to"])]
    path = answer["recordsUrl"].partition("&from=")[0]
    for interval, begin, end in zip(answer["series"], bounds, bounds[1:], strict=False):
        counts = sessions(client, f"{path}&from={begin}&to={end}")
        assert counts == (interval["successful"], interval["failed"])
    items = list(listed(client, answer["recordsUrl"]))
    assert len({item["report"]["id"] for item in items}) == answer["reports"]
    assert answer["recordsUrl"] == answer["totals"]["recordsUrl"]


@many
@given(
    reports=st.lists(REPORTS, max_size=5),
    most=st.sampled_from([1, 2, 1_000]),
    start=st.integers(0, 24 * 20),
    length=st.integers(1, 24 * 10),
    series=st.tuples(
        st.sampled_from(["day", "week"]),
        st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"]),
    ),
)
def test_records_of_a_link_add_up_to_the_figure(
    caller: Client,
    reports: list[Any],
    most: int,
    start: int,
    length: int,
    series: tuple[str, str],
) -> None:
    domain = make_domain(caller.account_id)
    for report in reports:
        store_tls_report(domain, **report)
    from_at = START + timedelta(hours=start, minutes=-20)
    span = f"from={_text(from_at)}&to={_text(from_at + timedelta(hours=length))}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tls, "MAX_HOSTS", most)  # so that some are left out
        patch.setattr(tls, "MAX_GROUPS", most)
        patch.setattr(tls_records, "MAX_FAILURES", most)
        path = f"/v1/reports/analytics/tls-rpt?domain={domain.name}&{span}"
        check(caller, caller.data("GET", f"{path}&interval={series[0]}&tz={series[1]}"))
    domains.delete(caller.account_id, domain.name, actor="test")


def test_only_matching_failures_are_listed(client: Client, domain: Domain) -> None:
    failures = [
        tls_failure("certificate-expired", 2, mx="mx1.acme.test"),
        tls_failure("validation-failure", 3, mx="mx1.acme.test"),
        tls_failure("certificate-expired", 4, mx="mx2.acme.test"),
        tls_failure("sts-policy-invalid", 5),
    ]
    store_tls_report(domain, [tls_policy(failed=14, failures=failures), tls_policy("tlsa")])

    def counts_of(query: str) -> list[list[int]]:
        items = listed(client, LIST + query)
        shown = [([f["sessions"] for f in item["failures"]], item) for item in items]
        for counts, item in shown:
            assert (sum(counts), len(counts)) == (item["failedSessions"], item["failureCount"])
        return [counts for counts, _ in shown]

    assert counts_of("") == [[2, 3, 4, 5], []]
    assert counts_of("&resultType=certificate-expired") == [[2, 4]]
    assert counts_of("&mx=mx1.acme.test") == [[2, 3]]
    assert counts_of("&mx=mx1.acme.test&resultType=validation-failure") == [[3]]
    assert counts_of("&hasMx=true") == [[2, 3, 4]]
    assert counts_of("&hasMx=false") == [[5]]
    assert counts_of("&mx=mx2.acme.test&resultType=validation-failure") == []
    assert counts_of("&mx=mx1.acme.test&hasMx=false") == []


def test_many_failures_are_truncated_and_all_are_counted(client: Client, domain: Domain) -> None:
    failures = [tls_failure(sessions=number) for number in range(60)]
    store_tls_report(domain, [tls_policy(failures=failures)])
    (item,) = listed(client, LIST)
    assert [failure["sessions"] for failure in item["failures"]] == list(range(50))
    assert (item["failureCount"], item["failedSessions"]) == (60, sum(range(60)))


def test_newest_records_come_first_with_their_report(client: Client, domain: Domain) -> None:
    for day in (1, 0, 2):
        at = START + day * DAY
        store_tls_report(domain, [tls_policy(), tls_policy("tlsa")], at=at)
    policies = list(listed(client, LIST))
    assert [(item["at"][:10], item["position"], item["policyType"]) for item in policies] == [
        (f"2026-03-{day}", position, kind)
        for day in (22, 21, 20)
        for position, kind in enumerate(("sts", "tlsa"))
    ]
    first = policies[0]
    shown = client.data("GET", f"/v1/reports/tls-rpt/{first['report']['id']}")
    assert first["report"] == {name: shown[name] for name in first["report"]}
    policy = shown["policies"][0]
    same = ("policyType", "policyDomain", "successful", "failed", "failures")
    assert {name: first[name] for name in same} == {name: policy[name] for name in same}


def test_unverified_reports_are_filtered(client: Client, domain: Domain) -> None:
    for provenance in ("token", "unverified"):
        policy = tls_policy(successful=len(provenance))
        store_tls_report(domain, [policy], provenance=provenance, reporter=f"{provenance}.test")
    assert sessions(client, f"{LIST}&provenance=unverified") == (10, 0)
    assert sessions(client, f"{LIST}&reporter=TOKEN.test") == (5, 0)


def test_policies_can_be_exported(client: Client, domain: Domain) -> None:
    failure = tls_failure(mx="=cmd")
    policies = [tls_policy(successful=7, failures=[failure]), tls_policy("tlsa", successful=5)]
    store_tls_report(domain, policies, organization="=cmd")
    table = rows(client("GET", f"{LIST}&format=csv"))
    assert [row["successful"] for row in table] == ["7", "5"]
    assert table[0]["report.organization"] == "'=cmd"
    assert json.loads(table[0]["failures"])[0]["mx"] == "=cmd"
    lines = client("GET", f"{LIST}&format=ndjson").data.splitlines()
    assert [json.loads(line) for line in lines] == client.data("GET", LIST)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("domain=unknown.test", 404),
        ("", 400),
        ("domain=acme.test&mx=", 400),
        ("domain=acme.test&mx=a%00", 400),
        (f"domain=acme.test&mx={'m' * 1024}", 200),
        (f"domain=acme.test&mx={'m' * 1025}", 400),
        ("domain=acme.test&hasMx=perhaps", 400),
        ("domain=acme.test&provenance=odd", 400),
        ("domain=acme.test&sourceIp=192.0.2.1", 400),
        ("domain=acme.test&from=1970-01-01T00:00:00Z&to=2200-01-01T00:00:00Z", 200),
        ("domain=acme.test&from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", 200),
    ],
)
def test_invalid_filters_are_refused(
    client: Client, domain: Domain, query: str, status: int
) -> None:
    assert client("GET", f"/v1/reports/tls-rpt/records?{query}").status_code == status


def test_policies_of_another_account_are_not_found(
    client: Client, stranger: Client, domain: Domain
) -> None:
    store_tls_report(domain, [tls_policy()])
    for ref in ("acme.test", ids.public("dom", domain.id)):
        response = stranger("GET", f"/v1/reports/tls-rpt/records?domain={ref}")
        assert response.status_code == 404

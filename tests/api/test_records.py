"""The records behind a figure: their sum, their order, and their exports."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import text

from app import ids
from app.db import transactions
from app.models import Domain
from app.protocols.report_formats.aggregate import DkimResult, SpfResult
from app.services.domains import domains
from tests.support.api_client import Client
from tests.support.api_reports import counted, listed, rows
from tests.support.factories import make_domain
from tests.support.stored_reports import DAY, Report, record, store

START = datetime(2026, 3, 20, tzinfo=UTC)  # clocks turn in these weeks
ROWS = st.builds(
    record,
    source_ip=st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1"]),
    count=st.sampled_from([0, 1, 2, 7, 5000, 10**12, 10**13]),
    disposition=st.sampled_from(["none", "quarantine", "reject", "pass", "odd & other"]),
    dkim=st.booleans(),
    spf=st.booleans(),
    header_from=st.sampled_from(["acme.test", "news.acme.test", "no name, 100% + é"]),
    dkim_results=st.sampled_from([(), (DkimResult("acme.test", "s1", "pass"),)]),
    spf_results=st.sampled_from([(), (SpfResult("x.mcsv.net", "mfrom", "pass"),)]),
)
REPORTS = st.builds(
    Report,
    rows=st.lists(ROWS, min_size=1, max_size=4),
    begin=st.builds(lambda hours: START + timedelta(hours=hours), st.integers(0, 24 * 20)),
    length=st.sampled_from(
        [DAY, DAY - timedelta(seconds=1), timedelta(0), 2 * DAY, 5 * DAY, 31 * DAY]
    ),
    reporter=st.sampled_from(["google.com", "a & b, ltd."]),
    provenance=st.sampled_from(["token", "unverified"]),
)
many = hypothesis_settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def domain(client: Client) -> Domain:
    return make_domain(client.account_id, "acme.test")


def check_period(client: Client, period: Any) -> None:
    """Every figure of a time has its records."""
    link = period["recordsUrl"]
    assert counted(client, link) == period["messages"]
    assert counted(client, link, result="pass") == period["passed"]
    assert counted(client, link, dkim="pass") == period["dkimAligned"]
    assert counted(client, link, spf="pass") == period["spfAligned"]
    assert counted(client, link, provenance="unverified") == period["unverified"]
    for name, messages in period["dispositions"].items():
        assert counted(client, link, disposition=name) == messages


@many
@given(
    reports=st.lists(REPORTS, max_size=5),
    by=st.sampled_from(["source", "reporter", "disposition", "headerFrom", "result"]),
    start=st.integers(0, 24 * 20),
    length=st.integers(1, 24 * 20),
)
def test_records_of_a_link_add_up_to_the_figure(
    caller: Client, reports: list[Report], by: str, start: int, length: int
) -> None:
    domain = make_domain(caller.account_id)
    for report in reports:
        store(domain, report)
    from_at = START + timedelta(hours=start, minutes=-20)
    span = f"from={_text(from_at)}&to={_text(from_at + timedelta(hours=length))}"
    path = f"domain={domain.name}&{span}"
    answer = caller.data("GET", f"/v1/reports/analytics/dmarc?{path}&groupBy={by}")
    check_period(caller, answer["totals"])
    check_period(caller, answer["previousPeriod"])
    assert counted(caller, answer["recordsUrl"]) == answer["totals"]["messages"]
    for group in answer["groups"]:
        assert counted(caller, group["recordsUrl"]) == group["messages"]
    if not answer["multiDayReports"] and answer["totals"]["messages"] < 10**12:
        items = list(listed(caller, answer["recordsUrl"]))
        assert [item["count"] for item in items] == [item["countInPeriod"] for item in items]
    check_sources(caller, path)
    domains.delete(caller.account_id, domain.name, actor="test")


def check_sources(client: Client, path: str) -> None:
    """Yield the exact record links of sources and addresses."""
    for source in client.data("GET", f"/v1/reports/analytics/sources?{path}")["sources"]:
        for figure in (source, *source["addresses"]):
            messages = counted(client, figure["recordsUrl"])
            if figure["recordsUrlExact"]:
                assert messages == figure["messages"]
            else:
                assert messages > figure["messages"]
    for reporter in client.data("GET", f"/v1/reports/analytics/reporters?{path}")["reporters"]:
        assert counted(client, reporter["recordsUrl"]) == reporter["messages"]


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_interval_of_a_series_links_to_its_records(client: Client, domain: Domain) -> None:
    for day in range(4):
        store(domain, Report([record(count=10 + day)], begin=START + day * DAY))
    path = "/v1/reports/analytics/dmarc?domain=acme.test&tz=Asia/Kolkata"
    answer = client.data("GET", f"{path}&from={_text(START)}&to={_text(START + 4 * DAY)}")
    starts = [quote(interval["start"]) for interval in answer["series"]]
    for interval, begin, end in zip(answer["series"], starts, starts[1:], strict=False):
        link = f"/v1/reports/dmarc/records?domain=acme.test&from={begin}&to={end}"
        assert counted(client, link) == interval["messages"]


def test_newest_records_come_first_with_their_report(client: Client, domain: Domain) -> None:
    for day in (1, 0, 2):
        store(domain, Report([record(), record("192.0.2.2")], begin=START + day * DAY))
    records = list(listed(client, "/v1/reports/dmarc/records?domain=acme.test"))
    assert [(item["at"][:10], item["position"]) for item in records] == [
        (f"2026-03-{day}", position) for day in (22, 21, 20) for position in (0, 1)
    ]
    first = records[0]
    shown = client.data("GET", f"/v1/reports/dmarc/{first['report']['id']}")
    assert first["report"] == {name: shown[name] for name in first["report"]}
    of_report = client.data("GET", f"/v1/reports/dmarc/{first['report']['id']}/records")[0]
    assert of_report == {name: first[name] for name in of_report}


def test_report_over_several_days_counts_with_its_share(client: Client, domain: Domain) -> None:
    store(domain, Report([record(count=10)], length=4 * DAY, begin=START))
    link = "/v1/reports/dmarc/records?domain=acme.test"
    (whole,) = listed(client, link)
    assert (whole["count"], whole["countInPeriod"], whole["report"]["days"]) == (10, 10, 4)
    (part,) = listed(client, f"{link}&from={_text(START)}&to={_text(START + DAY)}")
    assert (part["count"], part["countInPeriod"]) == (10, 3)
    assert list(listed(client, f"{link}&from={_text(START + 5 * DAY)}")) == []


def test_several_addresses_can_be_requested(client: Client, domain: Domain) -> None:
    store(domain, Report([record(f"192.0.2.{n}") for n in range(3)]))
    link = "/v1/reports/dmarc/records?domain=acme.test&sourceIp=192.0.2.0,192.0.2.2"
    assert [item["sourceIp"] for item in listed(client, link)] == ["192.0.2.0", "192.0.2.2"]


RESULTS = [
    record("192.0.2.1", 1),
    record("192.0.2.2", 2, header_from="news.acme.test", dkim_results=(), spf_results=()),
    record(
        "192.0.2.3",
        4,
        dkim_results=(
            DkimResult("acme.test", "s2", "fail"),
            DkimResult("xn--bcher-kva.test", None, "pass"),
        ),
        spf_results=(SpfResult("acme.test", "helo", "none"), SpfResult("x.test", None, "pass")),
    ),
]


@pytest.mark.parametrize(
    ("query", "messages"),
    [
        ("dkimDomain=acme.test", 5),
        ("dkimDomain=ACME.test.", 5),
        ("dkimDomain=bücher.test", 4),
        ("dkimDomain=test", 0),
        ("dkimSelector=s2", 4),
        ("dkimSelector=S2", 0),  # selectors are compared with case
        ("dkimResult=pass", 5),
        ("dkimResult=not_pass", 4),
        ("dkimDomain=acme.test&dkimResult=pass", 1),  # one result must have it all
        ("dkimDomain=acme.test&dkimSelector=s2&dkimResult=not_pass", 4),
        ("spfDomain=acme.test", 5),
        ("spfDomain=acme.test&spfResult=pass", 1),
        ("spfResult=not_pass", 4),
        ("spfDomain=x.test&dkimResult=fail", 4),
        ("spfDomain=x.test&sourceIp=192.0.2.1,192.0.2.2", 0),
        ("headerFrom=NEWS.acme.test.", 2),
    ],
)
def test_records_are_filtered_by_signature_and_envelope(
    client: Client, domain: Domain, query: str, messages: int
) -> None:
    report = f"/v1/reports/dmarc/{ids.public('dmr', store(domain, Report(RESULTS)))}/records?"
    for link in ("/v1/reports/dmarc/records?domain=acme.test&", report):
        assert sum(item["count"] for item in listed(client, link + query)) == messages


def test_records_of_subdomains_are_filtered(client: Client, domain: Domain) -> None:
    store(domain, Report(RESULTS))
    link = "/v1/reports/dmarc/records?domain=acme.test"
    for filters, messages in (
        ({}, 7),
        ({"subdomainsOnly": "true"}, 2),
        ({"subdomainsOnly": "false"}, 7),
    ):
        assert counted(client, link, **filters) == messages


@pytest.mark.parametrize("nothing", ["null", "{}", "[]"])
def test_malformed_results_are_empty(client: Client, domain: Domain, nothing: str) -> None:
    store(domain, Report([record()]))
    with transactions.transaction() as session:
        session.execute(text(f"UPDATE dmarc_records SET dkim_results = '{nothing}'"))
        session.execute(text("UPDATE dmarc_records SET spf_results = NULL"))
    link = "/v1/reports/dmarc/records?domain=acme.test"
    for filters in ({"dkimResult": "not_pass"}, {"spfResult": "not_pass"}):
        assert counted(client, link, **filters) == 0


def test_records_can_be_exported(client: Client, domain: Domain) -> None:
    store(domain, Report([record("=cmd"), record(count=5)]))
    link = "/v1/reports/dmarc/records?domain=acme.test"
    table = rows(client("GET", f"{link}&format=csv"))
    assert [row["countInPeriod"] for row in table] == ["1", "5"]
    assert table[0]["sourceIp"] == "'=cmd"
    assert table[0]["report.reporter"] == "google.com"
    lines = client("GET", f"{link}&format=ndjson").data.splitlines()
    assert [json.loads(line) for line in lines] == client.data("GET", link)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("domain=unknown.test", 404),
        ("", 400),
        ("domain=acme.test&sourceIp=hello", 400),
        ("domain=acme.test&sourceIp=192.0.2.1,", 400),
        ("domain=acme.test&sourceIp=" + ",".join(["192.0.2.1"] * 51), 400),
        ("domain=acme.test&result=dkim", 400),
        ("domain=acme.test&dkim=perhaps", 400),
        ("domain=acme.test&subdomainsOnly=perhaps", 400),
        ("domain=acme.test&dkimSelector=", 400),
        ("domain=acme.test&spfDomain=%00", 400),
        (
            "domain=acme.test&spfDomain=..&dkimDomain=%25&dkimSelector='%22&dkimResult=%F0%9F%93%A7",
            200,
        ),
        ("domain=acme.test&provenance=odd", 400),
        ("domain=acme.test&from=1970-01-01T00:00:00Z&to=2200-01-01T00:00:00Z", 200),
        ("domain=acme.test&from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", 200),
    ],
)
def test_invalid_filters_are_refused(
    client: Client, domain: Domain, query: str, status: int
) -> None:
    assert client("GET", f"/v1/reports/dmarc/records?{query}").status_code == status


def test_records_of_another_account_are_not_found(
    client: Client, stranger: Client, domain: Domain
) -> None:
    store(domain, Report([record()]))
    assert stranger("GET", "/v1/reports/dmarc/records?domain=acme.test").status_code == 404

"""The figures of sources, readiness and simulation: their links lead to the records they count."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.models import Domain
from app.protocols.report_formats.aggregate import DkimResult, SpfResult
from app.protocols.report_formats.aggregate.records import Reason
from app.services.analytics import flows
from app.services.domains import domains
from tests.support.api_client import Client
from tests.support.api_reports import counted
from tests.support.checked_domains import store_results
from tests.support.factories import make_domain
from tests.support.stored_reports import DAY, Report, record, store

START = datetime(2026, 3, 2, tzinfo=UTC)
SPAN = "from=2026-03-02T00:00:00Z&to=2026-03-30T00:00:00Z"
NAMES = ["acme.test", "news.acme.test", "x.mcsv.net", "forwarder.test", ""]
WORDS = ["pass", "fail", "none", ""]
ADDRESSES = ["192.0.2.1", "192.0.2.2", "198.51.100.1", "198.51.100.2", "203.0.113.1", "2001:db8::9"]

SIGNED = st.builds(
    DkimResult,
    st.sampled_from(NAMES),
    st.sampled_from([None, "s1", "S2", "a, b & é"]),
    st.sampled_from(WORDS),
)
MANY_SIGNED = st.just(tuple(DkimResult("acme.test", f"m{n}", "fail") for n in range(23)))
ENVELOPED = st.builds(
    SpfResult,
    st.sampled_from(NAMES),
    st.sampled_from(["mfrom", "helo", None]),
    st.sampled_from(WORDS),
)
ROWS = st.builds(
    record,
    source_ip=st.sampled_from(ADDRESSES),
    count=st.sampled_from([0, 1, 5, 70, 900]),
    disposition=st.sampled_from(["none", "quarantine", "reject", "pass"]),
    dkim=st.booleans(),
    spf=st.booleans(),
    header_from=st.sampled_from(["acme.test", "acme.test", "news.acme.test", "*.acme.test", "é x"]),
    reasons=st.sampled_from([(), (), (Reason("forwarded", None),)]),
    dkim_results=st.lists(SIGNED, max_size=3).map(tuple) | MANY_SIGNED,
    spf_results=st.lists(ENVELOPED, max_size=3).map(tuple),
)
REPORTS = st.lists(
    st.builds(
        Report,
        rows=st.lists(ROWS, min_size=1, max_size=6),
        begin=st.builds(lambda hours: START + timedelta(hours=hours), st.integers(-30, 24 * 29)),
        length=st.sampled_from([DAY, timedelta(0), 3 * DAY]),
        reporter=st.sampled_from(["google.com", "a & b, ltd."]),
        provenance=st.sampled_from(["token", "unverified"]),
    ),
    max_size=4,
)
DMARC = st.sampled_from(
    ["v=DMARC1; p=none", "v=DMARC1; p=none; sp=quarantine", "v=DMARC1; p=reject; np=none"]
)
TRIALS = st.fixed_dictionaries(
    {
        "policy": st.fixed_dictionaries(
            {"p": st.sampled_from(["none", "quarantine", "reject"])},
            optional={
                "sp": st.sampled_from(["none", "reject"]),
                "adkim": st.sampled_from(["r", "s"]),
                "aspf": st.sampled_from(["r", "s"]),
            },
        ),
        "removeSpf": st.sampled_from([[], [], ["include:a.test"], ["ip4:192.0.2.0/30"]]),
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
    """A domain whose records a scan has stored."""
    row = make_domain(client.account_id, "acme.test")
    store_results(row)
    return row


def made(client: Client, reports: list[Report], dmarc: str) -> Domain:
    domain = make_domain(client.account_id, "acme.test")
    store_results(domain, dmarc)
    for report in reports:
        store(domain, report)
    return domain


def get(client: Client, what: str) -> Any:
    return client.data("GET", f"/v1/reports/analytics/{what}?domain=acme.test&{SPAN}")


def simulated(client: Client, trial: Any) -> Any:
    times = {"from": "2026-03-02T00:00:00Z", "to": "2026-03-30T00:00:00Z"}
    body = {"domain": "acme.test", **times, **trial}
    return client.data("POST", "/v1/reports/analytics/simulate", json=body)


def of_sources(answer: Any) -> Iterator[tuple[Any, dict[str, str], int]]:
    """(links to its records, further filters, the figure)."""
    for source in answer["sources"]:
        yield source, {}, source["messages"]
        yield source, {"result": "pass"}, source["passed"]
        yield source, {"dkim": "pass"}, source["dkimAligned"]
        yield source, {"spf": "pass"}, source["spfAligned"]
        for name in ("addresses", "signers", "envelopes", "headerFrom"):
            for part in source[name]:
                yield part, {}, part["messages"]
    for name in answer["subdomains"]:
        yield name, {}, name["messages"]
        yield name, {"result": "pass"}, name["passed"]
    for use in answer["selectors"] + answer["unused"]["selectors"]:
        yield use, {"dkimResult": "pass"}, use["messages"]
        yield use, {"dkimResult": "not_pass"}, use["failed"]


def of_readiness(answer: Any) -> Iterator[tuple[Any, dict[str, str], int]]:
    for step in answer["steps"]:
        for part in (*step["blockers"], *step["legitimateFailingSources"], *step["spoofedSources"]):
            yield part, {}, part["messages"]


def of_simulation(answer: Any) -> Iterator[tuple[Any, dict[str, str], int]]:
    hit = {
        "recordsUrl": answer["affectedRecordsUrl"],
        "recordsUrlExact": answer["affectedRecordsUrlExact"],
    }
    yield hit, {}, answer["affected"]
    for part in (*answer["sources"], *answer["headerFrom"]):
        yield part, {}, part["messages"]


def check(
    client: Client, figures: Iterator[tuple[Any, dict[str, str], int]], is_complete: bool
) -> None:
    """Check that exact links add up to their figure and, without truncation, only those do."""
    for where, more, figure in figures:
        if where["recordsUrlExact"]:
            assert counted(client, where["recordsUrl"], **more) == figure, where
        elif is_complete and not more:
            assert counted(client, where["recordsUrl"], **more) > figure, where


@pytest.mark.parametrize(
    "most", [(3_000, 2_000), (3, 2)], ids=["all flows listed", "most flows summed"]
)
@many
@given(reports=REPORTS, dmarc=DMARC, trial=TRIALS)
def test_exact_record_links_add_up_to_their_figures(
    caller: Client,
    monkeypatch: pytest.MonkeyPatch,
    most: tuple[int, int],
    reports: list[Report],
    dmarc: str,
    trial: Any,
) -> None:
    monkeypatch.setattr(flows, "MAX_FLOWS", most[0])
    monkeypatch.setattr(flows, "MAX_IDENTITIES", most[1])
    rows = [row for report in reports for row in report.rows]
    is_complete = most[0] > len(rows) and all(len(row.dkim_results) < 20 for row in rows)
    responses = made(caller, reports, dmarc)
    try:
        check(caller, of_sources(get(caller, "sources")), is_complete)
        readiness = get(caller, "readiness")
        check(caller, of_readiness(readiness), is_complete)
        for step in readiness["steps"]:
            for figure, named, other in (
                ("legitimateFailing", "legitimateFailingSources", "otherLegitimateFailing"),
                ("spoofed", "spoofedSources", "otherSpoofed"),
            ):
                parts = [*step[named], step[other]]
                assert sum(part["messages"] for part in parts) == step[figure]
        simulation = simulated(caller, trial)
        check(caller, of_simulation(simulation), is_complete)
        for reporter in simulation["reporters"]:
            listed = counted(caller, reporter["recordsUrl"])
            assert listed >= reporter["messages"]
            assert listed == reporter["messages"] or not reporter["recordsUrlExact"]
    finally:
        domains.delete(caller.account_id, responses.name, actor="test")

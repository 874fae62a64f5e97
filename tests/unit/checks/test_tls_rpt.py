"""The tls_rpt check: where senders send TLS reports."""

from typing import Any

import pytest

from app.checks.engine.execution import run_check
from app.checks.engine.types import Subject, Usage, Verdict
from app.checks.transport.tls_rpt import tls_rpt
from app.protocols.names import DomainName
from tests.support.zones import SERVFAIL, TIMEOUT, Zone

DOMAIN = DomainName("example.org")
SUBJECT = Subject(DOMAIN)
NAME = "_smtp._tls.example.org"
STS: dict[Any, Any] = {"_mta-sts.example.org": ["v=STSv1; id=1"]}
MAIL: dict[Any, Any] = {("example.org", "MX"): ["10 mx.example.org"]}
GOOD = "v=TLSRPTv1; rua=mailto:tls@example.org"

TABLE: list[tuple[list[str], list[str]]] = [
    ([GOOD], []),
    ([GOOD, "something else"], []),
    (["v=TLSRPTv1;rua=https://reports.example.org/in;"], ["tls_rpt.https_endpoint_unreachable"]),
    ([], ["tls_rpt.missing"]),
    ([GOOD, GOOD], ["tls_rpt.multiple_records"]),
    (["v=TLSRPTv1"], ["tls_rpt.syntax_error"]),
    (["v=tlsrptv1; rua=mailto:tls@example.org"], ["tls_rpt.syntax_error"]),
    (["v=TLSRPTv1;"], ["tls_rpt.rua_missing"]),
    (["v=TLSRPTv1; rua="], ["tls_rpt.rua_missing"]),
    (["v=TLSRPTv1; rua=tls@example.org"], ["tls_rpt.rua_invalid_scheme"]),
    ([f"{GOOD},http://example.org/in,http://example.org/in"], ["tls_rpt.rua_invalid_scheme"]),
    ([f"{GOOD},mailto:tls@example.org"], ["tls_rpt.rua_duplicate"]),
    ([f"{GOOD}; rua=mailto:other@example.org"], ["tls_rpt.duplicate_tag"]),
    ([f"{GOOD}; stray"], ["tls_rpt.malformed_tag"]),
    ([f"{GOOD};;"], ["tls_rpt.malformed_tag"]),
    ([f"{GOOD}; _x=y"], ["tls_rpt.malformed_tag"]),
    ([f"{GOOD}; x=y=z"], ["tls_rpt.malformed_tag"]),
    ([GOOD.replace("rua=", "rua = ")], ["tls_rpt.malformed_tag"]),
    (["v=TLSRPTv1; rua=https://https://example.org/in"], ["tls_rpt.rua_invalid_scheme"]),
]
MISSING = [
    (Usage.BOTH, {}, ["tls_rpt.missing"]),
    (Usage.RECEIVES, {}, ["tls_rpt.missing"]),
    (Usage.SENDS, {}, []),
    (Usage.PARKED, STS, []),
    (Usage.BOTH, STS, ["tls_rpt.missing_with_mta_sts"]),
    (Usage.RECEIVES, STS, ["tls_rpt.missing_with_mta_sts"]),
]


async def codes(subject: Subject, data: dict[Any, Any]) -> list[str]:
    """The codes of the findings, in order."""
    return [
        finding.kind.code for finding in (await tls_rpt.run(subject, Zone(MAIL | data))).findings
    ]


@pytest.mark.parametrize(("texts", "expected"), TABLE)
async def test_record_is_parsed_as_senders_do(texts: list[str], expected: list[str]) -> None:
    assert await codes(SUBJECT, {NAME: texts}) == expected


@pytest.mark.parametrize(("usage", "data", "expected"), MISSING)
async def test_record_is_expected_of_receiving_domains(
    usage: Usage, data: dict[Any, Any], expected: list[str]
) -> None:
    assert await codes(Subject(DOMAIN, usage), data) == expected


async def test_every_declared_code_can_occur() -> None:
    occurring = {code for texts, _ in TABLE for code in await codes(SUBJECT, {NAME: texts})}
    occurring.update(await codes(SUBJECT, STS))
    occurring.update(await codes(SUBJECT, {NAME: [GOOD], ("example.org", "MX"): []}))
    occurring.update(await codes(SUBJECT, {NAME: [GOOD], (NAME, "CNAME"): ["elsewhere.example"]}))
    assert occurring == {kind.code for kind in tls_rpt.finds} - {"tls_rpt.cname_conflict"}


@pytest.mark.parametrize(
    ("texts", "action", "after"),
    [
        ([], "publish", "v=TLSRPTv1; rua=mailto:tls-reports@example.org"),
        (
            ["v=TLSRPTv1; rua=mailto:b@example.org", GOOD],
            "replace",
            "v=TLSRPTv1; rua=mailto:b@example.org,mailto:tls@example.org",
        ),
        (
            ["v=TLSRPTv1: rua=tls@example.org, b@example.org"],
            "replace",
            f"{GOOD},mailto:b@example.org",
        ),
        ([f"{GOOD}, mailto:tls@example.org"], "replace", GOOD),
    ],
)
async def test_fix_contains_exact_record(texts: list[str], action: str, after: str) -> None:
    (finding,) = (await tls_rpt.run(SUBJECT, Zone(MAIL | {NAME: texts}))).findings
    assert finding.fix is not None
    assert (finding.fix.action, finding.fix.name, finding.fix.type) == (action, NAME, "TXT")
    assert (finding.fix.before, finding.fix.after) == ("\n".join(texts) or None, after)


@pytest.mark.parametrize(
    ("texts", "facts"),
    [
        ([GOOD], {"record": True, "record_valid": True, "rua": ["mailto:tls@example.org"]}),
        (["v=TLSRPTv1;"], {"record": True, "record_valid": False, "rua": []}),
        (["v=TLSRPTv1"], {"record": True, "record_valid": False, "rua": []}),
        ([GOOD, GOOD], {"record": True, "record_valid": False, "rua": []}),
        ([], {"record": False}),
    ],
)
async def test_facts_contain_reporting_addresses(texts: list[str], facts: dict[str, Any]) -> None:
    outcome = await tls_rpt.run(SUBJECT, Zone(MAIL | {NAME: texts}))
    assert outcome.facts == {**facts, "alias": None}


async def test_facts_name_the_target_of_an_alias() -> None:
    zone = Zone({(NAME, "CNAME"): ["tls.example.net"], "tls.example.net": [GOOD]})
    assert (await tls_rpt.run(SUBJECT, zone)).facts["alias"] == "tls.example.net"


@pytest.mark.parametrize(
    "data", [{NAME: SERVFAIL}, {NAME: TIMEOUT}, {"_mta-sts.example.org": TIMEOUT}]
)
async def test_dns_failure_is_undetermined(data: dict[Any, Any]) -> None:
    check_result = await run_check(tls_rpt, SUBJECT, Zone(data))
    assert check_result.verdict is Verdict.UNDETERMINED
    assert not check_result.findings


REPORTS = "reports.example.org"
POSTED = f"v=TLSRPTv1; rua=mailto:tls@example.org,https://{REPORTS}/in"
LOST = ["tls_rpt.https_endpoint_unreachable"]


@pytest.mark.parametrize(
    ("data", "expected", "definite"),
    [
        ({}, LOST, True),
        ({(REPORTS, "MX"): ["10 mx.example.org"]}, LOST, True),
        ({(REPORTS, "A"): ["192.0.2.1"]}, [], True),
        ({(REPORTS, "AAAA"): ["2001:db8::1"]}, [], True),
        ({(REPORTS, "A"): SERVFAIL, (REPORTS, "AAAA"): ["2001:db8::1"]}, [], True),
        ({(REPORTS, "A"): ["192.0.2.1"], (REPORTS, "AAAA"): TIMEOUT}, [], True),
    ],
)
async def test_host_of_reporting_address_needs_an_address(
    data: dict[Any, Any], expected: list[str], definite: bool
) -> None:
    outcome = await tls_rpt.run(SUBJECT, Zone(MAIL | {NAME: [POSTED]} | data))
    assert [finding.kind.code for finding in outcome.findings] == expected
    assert outcome.definite is definite


async def test_address_of_missing_host_is_named_and_stays_in_the_record() -> None:
    (finding,) = (await tls_rpt.run(SUBJECT, Zone(MAIL | {NAME: [POSTED]}))).findings
    assert (finding.subject, finding.evidence) == (REPORTS, {"uris": [f"https://{REPORTS}/in"]})
    assert finding.fix is None


async def test_only_ten_hosts_are_queried() -> None:
    named = ",".join(f"https://r{number}.example.org/" for number in range(12))
    zone = Zone({NAME: [f"v=TLSRPTv1; rua={named}"]})
    outcome = await tls_rpt.run(SUBJECT, zone)
    assert (len(outcome.findings), outcome.facts["rua_not_queried"]) == (10, 2)
    assert len(set(zone.asked)) == 22  # of 10 hosts, the record and its CNAME


@pytest.mark.parametrize("rdtype", ["A", "AAAA"])
async def test_host_that_cannot_be_looked_up_is_undetermined(rdtype: str) -> None:
    data: dict[Any, Any] = MAIL | {NAME: [POSTED], (REPORTS, rdtype): TIMEOUT}
    result = await run_check(tls_rpt, SUBJECT, Zone(data))
    assert (result.verdict, result.findings) == (Verdict.UNDETERMINED, ())

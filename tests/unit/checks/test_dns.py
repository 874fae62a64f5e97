"""The dns check: existence, delegation, aliases, size."""

from collections.abc import Sequence
from typing import Any

import pytest

from app.checks.dns import dns
from app.checks.engine.execution import run_check
from app.checks.engine.types import Severity, Subject, Verdict
from app.protocols.names import DomainName
from tests.support.zones import NXDOMAIN, SERVFAIL, TIMEOUT, Failure, Zone

SUBJECT = Subject(DomainName("example.org"))

GOOD: dict[Any, Any] = {
    ("example.org", "NS"): ["ns1.example.net", "ns2.example.net"],
    ("example.net", "NS"): ["ns1.example.net"],
    ("ns1.example.net", "A"): ["192.0.2.1"],
    ("ns2.example.net", "AAAA"): ["2001:db8::2"],
}


async def codes(data: dict[Any, Any], subject: Subject = SUBJECT) -> list[str]:
    outcome = await dns.run(subject, Zone(data))
    return sorted(finding.kind.code for finding in outcome.findings)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({("ns2.example.net", "AAAA"): []}, ["dns.delegation_lame"]),
        ({("ns2.example.net", "AAAA"): NXDOMAIN}, ["dns.delegation_lame"]),
        (
            {("example.org", "NS"): ["ns1.example.net", "ns.gone.example"]},
            ["dns.ns_takeover_risk"],
        ),
        ({("example.org", "NS"): ["ns1.example.net"]}, ["dns.ns_single"]),
        ({("ns2.example.net", "CNAME"): ["ns1.example.net"]}, ["dns.ns_points_to_cname"]),
        ({("example.org", "CNAME"): ["example.net"]}, ["dns.cname_at_record"]),
        ({("_dmarc.example.org", "CNAME"): ["gone.example.net"]}, ["dns.dangling_cname"]),
        ({("mta-sts.example.org", "CNAME"): ["ns1.example.net"]}, []),
        ({"example.org": ["x" * 200] * 5}, []),
        ({"example.org": ["x" * 200] * 6}, ["dns.answer_over_udp"]),
        ({"example.org": ["x" * 1200]}, ["dns.answer_over_udp"]),
    ],
)
async def test_findings_describe_problems_of_the_domain(
    changes: dict[Any, Sequence[str] | Failure], expected: list[str]
) -> None:
    assert await codes(GOOD | changes) == expected


async def test_ipv6_addresses_are_queried_only_of_name_servers_without_others() -> None:
    zone = Zone(GOOD)
    assert (await dns.run(SUBJECT, zone)).findings == ()
    assert [name for name, rdtype in zone.asked if rdtype == "AAAA"] == ["ns2.example.net"]


async def test_missing_domain_is_not_queried_further() -> None:
    zone = Zone({("example.net", "NS"): ["ns1.example.net"]})
    outcome = await dns.run(SUBJECT, zone)
    assert [finding.kind.code for finding in outcome.findings] == ["dns.domain_not_found"]
    assert zone.asked == [("example.org", "NS")]


async def test_subdomain_uses_servers_of_its_zone() -> None:
    subject = Subject(DomainName("mail.example.org"))
    outcome = await dns.run(subject, Zone(GOOD | {("mail.example.org", "A"): ["192.0.2.3"]}))
    assert outcome.facts["zone"] == "example.org"
    assert outcome.facts["ns"] == ["ns1.example.net", "ns2.example.net"]
    assert not outcome.findings


async def test_subdomain_may_be_alias_of_existing_name() -> None:
    subject = Subject(DomainName("mail.example.org"))
    alias = ("mail.example.org", "CNAME")
    assert await codes(GOOD | {alias: ["ns1.example.net"]}, subject) == []
    assert await codes(GOOD | {alias: ["gone.example.net"]}, subject) == ["dns.dangling_cname"]


async def test_alias_to_registrable_domain_is_critical() -> None:
    data = GOOD | {("_mta-sts.example.org", "CNAME"): ["sts.gone.example"]}
    (finding,) = (await dns.run(SUBJECT, Zone(data))).findings
    assert finding.severity is Severity.CRITICAL
    assert finding.subject == "_mta-sts.example.org"
    assert finding.evidence == {"chain": ["sts.gone.example"], "target_registrable": True}
    assert finding.fix is not None
    assert (finding.fix.action, finding.fix.before) == ("remove", "sts.gone.example.")


async def test_facts_list_servers_without_address() -> None:
    data = GOOD | {("ns2.example.net", "AAAA"): NXDOMAIN}
    outcome = await dns.run(SUBJECT, Zone(data))
    assert outcome.facts["ns_unresolvable"] == ["ns2.example.net"]
    (finding,) = outcome.findings
    assert finding.fix is not None
    assert (finding.fix.name, finding.fix.before) == ("example.org", "ns2.example.net.")


async def test_servfail_is_a_failure_but_not_definite() -> None:
    check_result = await run_check(dns, SUBJECT, Zone({"example.org": SERVFAIL}))
    assert check_result.verdict is Verdict.FAIL
    assert check_result.facts == {"servfail": True}
    assert [finding.kind.code for finding in check_result.findings] == ["dns.lookup_indeterminate"]
    assert not check_result.definite


@pytest.mark.parametrize(
    "changes",
    [
        {("example.org", "NS"): TIMEOUT},
        {"ns2.example.net": SERVFAIL},
        {("ns2.example.net", "AAAA"): [], ("ns2.example.net", "A"): SERVFAIL},
        {"_dmarc.example.org": SERVFAIL},
        {("example.org", "TXT"): TIMEOUT},
        {("example.org", "NS"): ["ns1.example.net", "ns.b.test"], ("b.test", "NS"): TIMEOUT},
    ],
)
async def test_dns_failure_is_undetermined(changes: dict[Any, Any]) -> None:
    check_result = await run_check(dns, SUBJECT, Zone(GOOD | changes))
    assert check_result.verdict is Verdict.UNDETERMINED
    assert not check_result.findings


async def test_one_address_family_is_enough() -> None:
    assert await codes(GOOD | {("ns1.example.net", "AAAA"): SERVFAIL}) == []


async def test_partial_result_with_problem_is_not_definite() -> None:
    data = GOOD | {("example.org", "NS"): ["ns1.example.net"], "_dmarc.example.org": SERVFAIL}
    check_result = await run_check(dns, SUBJECT, Zone(data))
    assert [finding.kind.code for finding in check_result.findings] == ["dns.ns_single"]
    assert (check_result.verdict, check_result.definite) == (Verdict.UNDETERMINED, False)

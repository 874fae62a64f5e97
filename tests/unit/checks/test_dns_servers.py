"""The dns check compares the direct answers of a zone's name servers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from app.checks.dns import dns
from app.checks.engine.execution import run_check
from app.checks.engine.types import Finding, Severity, Subject
from app.ports.dns import ServerAnswer, Soa
from app.protocols.names import DomainName
from tests.support.zones import SERVFAIL, TIMEOUT, Zone

ONE, TWO, OWN = "ns1.example.net", "ns2.example.net", "example.org"
SUBJECT = Subject(DomainName(OWN))
DATA: dict[Any, Any] = {
    (OWN, "NS"): [ONE, TWO],
    (ONE, "A"): ["192.0.2.1"],
    (TWO, "A"): ["192.0.2.2"],
}
Said = Mapping[tuple[str, str], ServerAnswer]


def soa(server: str, serial: int = 7, mname: str = ONE) -> Said:
    """An authoritative SOA answer of the server."""
    return {
        (server, "SOA"): ServerAnswer(
            server=server,
            rcode="NOERROR",
            authoritative=True,
            rdatas=(Soa(mname=mname, rname="h", serial=serial, minimum=60),),
        )
    }


def ns(server: str, *names: str) -> Said:
    """An authoritative NS answer of the server."""
    return {
        (server, "NS"): ServerAnswer(
            server=server, rcode="NOERROR", authoritative=True, rdatas=names
        )
    }


def refuses(server: str, rcode: str = "REFUSED") -> Said:
    """A refusal of the server, or an answer without authority."""
    return {
        (server, "SOA"): ServerAnswer(server=server, rcode=rcode, authoritative=False, rdatas=())
    }


async def run_servers(*answers: Said, known: Any = None) -> tuple[Any, list[Finding]]:
    """The facts and the findings."""
    servers = {key: answer for server_answers in answers for key, answer in server_answers.items()}
    subject = SUBJECT if known is None else replace(SUBJECT, last_facts={"dns": known})
    outcome = await dns.run(subject, Zone(DATA, servers=servers))
    assert outcome.definite
    return outcome.facts, list(outcome.findings)


PARENT = "a.test-servers.net"
REFERRAL = {
    (PARENT, "NS"): ServerAnswer(server=PARENT, rcode="NOERROR", authoritative=False, rdatas=())
}
KNOWN = {"exists": True, "zone": OWN, "ns": [ONE, TWO]}
FAILING: dict[Any, Any] = {OWN: SERVFAIL, ("org", "NS"): [PARENT]}


SAME = {**soa(ONE), **soa(TWO)}
BEHIND = {**soa(ONE), **soa(TWO, 6), **ns(ONE, ONE, TWO), **ns(TWO, TWO, ONE)}
APART = {**soa(ONE), **soa(TWO, 6), **ns(ONE, ONE, TWO), **ns(TWO, TWO)}
TWO_OPERATORS = {**soa(ONE), **soa(TWO, 2026, TWO), **ns(ONE, ONE, TWO), **ns(TWO, ONE, TWO)}
LAME = {**soa(ONE), **refuses(TWO)}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (SAME, []),
        (BEHIND, [("dns.ns_inconsistent", OWN, Severity.LOW)]),
        (APART, [("dns.ns_inconsistent", OWN, Severity.MEDIUM)]),
        (TWO_OPERATORS, []),
        (LAME, [("dns.ns_not_authoritative", TWO, Severity.MEDIUM)]),
        (
            {**soa(ONE), **refuses(TWO, "NOERROR")},
            [("dns.ns_not_authoritative", TWO, Severity.MEDIUM)],
        ),
        ({}, []),
        (soa(ONE), []),  # the other server may only be unreachable from here
        ({**refuses(ONE), **refuses(TWO)}, []),  # a device in between answers
    ],
)
async def test_findings_depend_on_answer_of_each_server(answers: Said, expected: list[Any]) -> None:
    _, findings = await run_servers(answers)
    assert [
        (finding.kind.code, finding.subject, finding.severity) for finding in findings
    ] == expected


async def test_facts_list_differing_lame_and_unresponsive_servers() -> None:
    behind, _ = await run_servers(BEHIND)
    lame, _ = await run_servers(LAME)
    silent, _ = await run_servers(soa(ONE))
    facts_without_answer, _ = await run_servers({})
    assert behind["ns_differences"] == {"serial": {ONE: "7", TWO: "6"}}
    assert lame["ns_not_authoritative"] == [TWO]
    assert silent["ns_unresponsive"] == [TWO]
    assert facts_without_answer["ns_unresponsive"] == []


@pytest.mark.parametrize("answers", [BEHIND, APART, LAME], ids=["behind", "apart", "lame"])
@pytest.mark.parametrize("now", [{}, soa(ONE)], ids=["none answers", "one answers"])
async def test_unresponsive_server_keeps_previous_result(answers: Said, now: Said) -> None:
    facts, before = await run_servers(answers)
    again, after = await run_servers(now, known=facts)
    assert [(finding.kind, finding.subject) for finding in after] == [
        (finding.kind, finding.subject) for finding in before
    ]
    third, _ = await run_servers({}, known=again)
    assert third["ns_differences"] == facts["ns_differences"]
    assert third["ns_not_authoritative"] == facts["ns_not_authoritative"]


@pytest.mark.parametrize("answers", [BEHIND, APART, LAME], ids=["behind", "apart", "lame"])
async def test_fixed_server_has_no_finding(answers: Said) -> None:
    facts, _ = await run_servers(answers)
    assert (await run_servers(SAME, known=facts))[1] == []


async def test_incomparable_sets_keep_previous_differences() -> None:
    facts, _ = await run_servers(APART)
    _, findings = await run_servers({**soa(ONE), **soa(TWO, 6), **ns(ONE, ONE, TWO)}, known=facts)
    assert findings[0].evidence["ns"] == {ONE: f"{ONE} {TWO}", TWO: TWO}


async def test_removed_server_has_no_finding() -> None:
    facts, _ = await run_servers(LAME)
    data = DATA | {(OWN, "NS"): [ONE, "ns3.example.net"], ("ns3.example.net", "A"): ["192.0.2.3"]}
    subject = replace(SUBJECT, last_facts={"dns": facts})
    outcome = await dns.run(subject, Zone(data, servers=soa(ONE)))
    assert outcome.findings == ()


async def test_equal_soas_need_no_further_queries() -> None:
    zone = Zone(DATA, servers=SAME)
    await dns.run(SUBJECT, zone)
    assert [question for question in zone.asked if "@" in question[0]] == [
        (f"{OWN}@{ONE}", "SOA"),
        (f"{OWN}@{TWO}", "SOA"),
    ]


async def test_only_first_eight_servers_are_queried() -> None:
    names = [f"n{number}.example.net" for number in range(12)]
    data: dict[Any, Any] = {(OWN, "NS"): names} | {(name, "A"): ["192.0.2.1"] for name in names}
    zone = Zone(data)
    await dns.run(SUBJECT, zone)
    assert len([question for question in zone.asked if "@" in question[0]]) == 8


async def test_zone_that_no_server_serves_is_lame() -> None:
    servers = {**refuses(ONE), **refuses(TWO, "NOERROR"), **REFERRAL}
    subject = replace(SUBJECT, last_facts={"dns": KNOWN})
    outcome = await dns.run(subject, Zone(FAILING, servers=servers))
    assert outcome.definite
    (finding,) = outcome.findings
    assert (finding.kind.code, finding.subject) == ("dns.zone_lame", OWN)
    assert finding.evidence == {"servers": {ONE: "REFUSED", TWO: "NOERROR"}}
    assert outcome.facts["ns_not_authoritative"] == outcome.facts["ns"] == [ONE, TWO]


@pytest.mark.parametrize(
    ("data", "servers", "known"),
    [
        (FAILING, {**refuses(ONE), **REFERRAL}, KNOWN),  # one server does not answer
        (FAILING, REFERRAL, KNOWN),
        (FAILING, {**refuses(ONE), **soa(TWO), **REFERRAL}, KNOWN),
        (FAILING, {**refuses(ONE), **refuses(TWO)}, KNOWN),  # the parent zone does not answer
        (FAILING, {**refuses(ONE), **refuses(TWO), **ns(PARENT, ONE)}, KNOWN),
        (FAILING | {("org", "NS"): SERVFAIL}, {**refuses(ONE), **refuses(TWO), **REFERRAL}, KNOWN),
        (FAILING, {**refuses(ONE), **refuses(TWO), **REFERRAL}, {}),  # never scanned before
        (FAILING | {OWN: TIMEOUT}, {**refuses(ONE), **refuses(TWO), **REFERRAL}, KNOWN),
    ],
)
async def test_zone_is_lame_only_if_all_servers_and_the_parent_say_so(
    data: Any, servers: Said, known: Any
) -> None:
    subject = replace(SUBJECT, last_facts={"dns": known})
    result = await run_check(dns, subject, Zone(data, servers=servers))
    assert not result.definite
    assert {finding.kind.code for finding in result.findings} <= {"dns.lookup_indeterminate"}

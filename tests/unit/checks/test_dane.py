"""The dane check: TLSA records that senders can use."""

from typing import Any

import pytest

from app.checks.engine.execution import run_check
from app.checks.engine.types import Severity, Subject, Verdict
from app.checks.transport.dane import dane
from app.ports.dns import Answer, LookupFailed, Tlsa
from app.protocols.names import DomainName
from tests.support.zones import SERVFAIL, TIMEOUT, Zone

SUBJECT = Subject(DomainName("example.org"))
AT1 = ("_25._tcp.mx1.example.org", "TLSA")
AT2 = ("_25._tcp.mx2.example.org", "TLSA")
EE, TA = (
    Tlsa(usage=3, selector=1, matching=1, data="ab" * 32),
    Tlsa(usage=2, selector=1, matching=1, data="cd" * 32),
)
BOTH = [EE, TA]
HOSTS: dict[Any, Any] = {
    ("example.org", "MX"): ["10 mx1.example.org", "20 mx2.example.org"],
    ("mx1.example.org", "A"): ["192.0.2.1"],
    ("mx2.example.org", "A"): ["192.0.2.2"],
}


class Partly(Zone):
    """A zone where some queries fail to validate, or are not secure."""

    bogus: tuple[tuple[str, str], ...] = ()
    insecure: tuple[tuple[str, str], ...] = ()

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        if (name, rdtype) in self.bogus and not checking_disabled:
            raise LookupFailed(name, rdtype, "servfail")
        self._authenticated = (name, rdtype) not in self.insecure
        return await super().resolve(name, rdtype, checking_disabled=checking_disabled)


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        ({AT1: BOTH, AT2: BOTH}, []),
        ({}, ["dane.missing"]),
        ({("example.org", "MX"): ["0 ."]}, ["dane.not_applicable"]),
        ({("example.org", "MX"): []}, ["dane.not_applicable"]),
        ({AT1: BOTH}, ["dane.partial"]),
        ({AT1: BOTH, AT2: [EE]}, ["dane.no_rollover"]),
        (
            {AT1: BOTH, AT2: [*BOTH, Tlsa(usage=1, selector=1, matching=1, data="ab" * 32)]},
            ["dane.usage_unsuitable"],
        ),
        (
            {AT1: BOTH, AT2: [Tlsa(usage=4, selector=1, matching=1, data="ab" * 32)]},
            ["dane.invalid"],
        ),
        (
            {AT1: BOTH, AT2: [Tlsa(usage=3, selector=2, matching=1, data="ab" * 32)]},
            ["dane.invalid"],
        ),
        (
            {AT1: BOTH, AT2: [Tlsa(usage=3, selector=1, matching=3, data="ab" * 32)]},
            ["dane.invalid"],
        ),
        (
            {AT1: BOTH, AT2: [Tlsa(usage=3, selector=1, matching=1, data="ab" * 31)]},
            ["dane.invalid"],
        ),
        (
            {AT1: BOTH, AT2: [Tlsa(usage=3, selector=1, matching=2, data="ab" * 32)]},
            ["dane.invalid"],
        ),
        ({AT1: BOTH, AT2: [Tlsa(usage=3, selector=0, matching=0, data="")]}, ["dane.invalid"]),
        ({AT1: BOTH, AT2: [Tlsa(usage=3, selector=0, matching=0, data="abcd"), TA]}, []),
    ],
)
async def test_findings_match_behavior_of_senders(data: dict[Any, Any], codes: list[str]) -> None:
    outcome = await dane.run(SUBJECT, Zone(HOSTS | data, authenticated=True))
    assert [finding.kind.code for finding in outcome.findings] == codes


async def test_bad_record_is_critical_only_without_a_usable_one() -> None:
    bad = Tlsa(usage=3, selector=1, matching=1, data="ab")
    data = HOSTS | {AT1: [bad], AT2: [bad, *BOTH]}
    outcome = await dane.run(SUBJECT, Zone(data, authenticated=True))
    assert [finding.severity for finding in outcome.findings] == [
        Severity.CRITICAL,
        Severity.MEDIUM,
    ]


async def test_fix_replaces_pkix_usages() -> None:
    data = HOSTS | {
        AT1: [
            Tlsa(usage=0, selector=0, matching=1, data="ab" * 32),
            Tlsa(usage=1, selector=1, matching=1, data="cd" * 32),
        ],
        AT2: BOTH,
    }
    (finding,) = (await dane.run(SUBJECT, Zone(data, authenticated=True))).findings
    assert finding.fix is not None
    assert finding.fix.after == f"2 0 1 {'ab' * 32}\n3 1 1 {'cd' * 32}"


async def test_records_in_unsigned_zone_are_reported() -> None:
    outcome = await dane.run(SUBJECT, Zone(HOSTS | {AT1: BOTH, AT2: BOTH}))
    assert [finding.kind.code for finding in outcome.findings] == ["dane.no_dnssec"] * 2
    assert outcome.verdict is Verdict.WARN
    assert outcome.facts["dnssec"] is False


async def test_host_with_insecure_address_is_not_protected() -> None:
    zone = Partly(HOSTS | {AT1: BOTH, AT2: BOTH})
    zone.insecure = (("mx2.example.org", "A"),)
    outcome = await dane.run(SUBJECT, zone)
    assert [finding.subject for finding in outcome.findings] == [AT2[0]]


async def test_unsigned_mx_set_of_protected_hosts_is_reported() -> None:
    zone = Partly(HOSTS | {AT1: BOTH, AT2: BOTH})
    zone.insecure = (("example.org", "MX"),)
    outcome = await dane.run(SUBJECT, zone)
    assert [finding.kind.code for finding in outcome.findings] == ["dane.mx_insecure"]
    assert outcome.facts["dnssec"] is False


@pytest.mark.parametrize("records", [BOTH, []])
async def test_answer_only_without_validation_is_bogus(records: list[Tlsa]) -> None:
    zone = Partly(HOSTS | {AT1: BOTH, AT2: records})
    zone.bogus = (AT2,)
    outcome = await dane.run(SUBJECT, zone)
    assert [(finding.kind.code, finding.subject) for finding in outcome.findings] == [
        ("dane.bogus", AT2[0])
    ]


async def test_aliased_host_uses_records_of_its_canonical_name() -> None:
    data = HOSTS | {
        ("example.org", "MX"): ["10 alias.example.org"],
        ("alias.example.org", "CNAME"): ["mx1.example.org"],
        AT1: [EE],
    }
    outcome = await dane.run(SUBJECT, Zone(data, authenticated=True))
    assert outcome.facts["tlsa_hosts"] == ["alias.example.org"]
    assert [finding.subject for finding in outcome.findings] == [AT1[0]]


async def test_facts_list_hosts_with_records() -> None:
    outcome = await dane.run(SUBJECT, Zone(HOSTS | {AT2: BOTH}, authenticated=True))
    assert outcome.facts == {"tlsa_hosts": ["mx2.example.org"], "dnssec": True, "null_mx": False}


@pytest.mark.parametrize(
    "data",
    [
        {("example.org", "MX"): SERVFAIL},
        {AT1: SERVFAIL},
        {AT1: TIMEOUT, AT2: BOTH},
        {AT1: TIMEOUT, AT2: TIMEOUT},
        {("mx1.example.org", "A"): TIMEOUT},
    ],
)
async def test_dns_failure_is_undetermined(data: dict[Any, Any]) -> None:
    check_result = await run_check(dane, SUBJECT, Zone(HOSTS | data, authenticated=True))
    assert check_result.verdict is Verdict.UNDETERMINED
    assert not check_result.findings


async def test_bad_record_is_reported_although_another_lookup_fails() -> None:
    data = HOSTS | {AT1: [EE], AT2: TIMEOUT}
    check_result = await run_check(dane, SUBJECT, Zone(data, authenticated=True))
    assert [finding.kind.code for finding in check_result.findings] == ["dane.no_rollover"]
    assert (check_result.verdict, check_result.definite) == (Verdict.UNDETERMINED, False)

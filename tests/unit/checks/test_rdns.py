"""The rdns check: PTR names resolve back to their addresses."""

from typing import Any

import pytest

from app.checks.engine.execution import run_check
from app.checks.engine.types import Subject, Verdict
from app.checks.mx.rdns import rdns
from app.protocols.names import DomainName
from tests.support.zones import SERVFAIL, TIMEOUT, Zone

SUBJECT = Subject(DomainName("example.org"))
PTR = ("1.2.0.192.in-addr.arpa", "PTR")
ONE: dict[Any, Any] = {
    ("example.org", "MX"): ["10 mx1.example.org"],
    ("mx1.example.org", "A"): ["192.0.2.1"],
}
TWO: dict[Any, Any] = ONE | {
    ("example.org", "MX"): ["10 mx1.example.org", "20 mx2.example.org"],
    ("mx2.example.org", "A"): ["192.0.2.2"],
}


@pytest.mark.parametrize(
    ("data", "status", "codes"),
    [
        ({PTR: ["mx1.example.org"]}, "confirmed", []),
        ({PTR: ["out.example.net"], ("out.example.net", "A"): ["192.0.2.1"]}, "confirmed", []),
        ({PTR: ["gone.example.net", "mx1.example.org"]}, "confirmed", []),
        ({PTR: ["slow.test", "mx1.example.org"], "slow.test": TIMEOUT}, "confirmed", []),
        ({}, "none", ["rdns.missing"]),
        ({PTR: ["gone.example.net"]}, "mismatch", ["rdns.mismatch"]),
        (
            {PTR: ["out.example.net"], ("out.example.net", "A"): ["192.0.2.9"]},
            "mismatch",
            ["rdns.mismatch"],
        ),
    ],
)
async def test_ptr_name_must_resolve_back(
    data: dict[Any, Any], status: str, codes: list[str]
) -> None:
    outcome = await rdns.run(SUBJECT, Zone(ONE | data))
    assert outcome.facts == {"null_mx": False, "hosts": {"mx1.example.org": status}}
    assert [finding.kind.code for finding in outcome.findings] == codes


async def test_host_has_the_worst_status_of_its_addresses() -> None:
    data = ONE | {
        PTR: ["mx1.example.org"],
        ("mx1.example.org", "AAAA"): ["2001:db8::1"],
    }
    outcome = await rdns.run(SUBJECT, Zone(data))
    assert outcome.facts["hosts"] == {"mx1.example.org": "none"}
    (finding,) = outcome.findings
    assert finding.subject == "2001:db8::1"
    assert finding.fix is not None
    assert finding.fix.name.endswith(".8.b.d.0.1.0.0.2.ip6.arpa")
    assert (finding.fix.before, finding.fix.after) == (None, "mx1.example.org.")


async def test_ipv6_addresses_are_compared_as_addresses() -> None:
    name = "1." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa"
    data: dict[Any, Any] = {
        ("example.org", "MX"): ["10 mx1.example.org"],
        ("mx1.example.org", "AAAA"): ["2001:db8:0:0::1"],
        (name, "PTR"): ["mx1.example.org"],
    }
    outcome = await rdns.run(SUBJECT, Zone(data))
    assert outcome.facts["hosts"] == {"mx1.example.org": "confirmed"}


async def test_address_shared_by_two_hosts_is_one_finding() -> None:
    outcome = await rdns.run(SUBJECT, Zone(TWO | {("mx2.example.org", "A"): ["192.0.2.1"]}))
    assert [finding.subject for finding in outcome.findings] == ["192.0.2.1"]
    assert outcome.facts["hosts"] == {"mx1.example.org": "none", "mx2.example.org": "none"}


async def test_null_mx_has_no_hosts() -> None:
    outcome = await rdns.run(SUBJECT, Zone({("example.org", "MX"): ["0 ."]}))
    assert outcome.facts == {"null_mx": True, "hosts": {}}
    assert not outcome.findings


async def test_without_mx_the_domain_is_its_own_host() -> None:
    outcome = await rdns.run(SUBJECT, Zone({("example.org", "A"): ["192.0.2.1"]}))
    assert outcome.facts["hosts"] == {"example.org": "none"}


@pytest.mark.parametrize(
    "data",
    [
        {("example.org", "MX"): SERVFAIL},
        {("mx1.example.org", "A"): TIMEOUT},
        {PTR: SERVFAIL},
        {PTR: ["slow.test"], "slow.test": TIMEOUT},
        {PTR: ["gone.example.net", "slow.test"], "slow.test": TIMEOUT},
    ],
)
async def test_dns_failure_is_undetermined(data: dict[Any, Any]) -> None:
    check_result = await run_check(rdns, SUBJECT, Zone(ONE | data))
    assert check_result.verdict is Verdict.UNDETERMINED
    assert not check_result.findings


async def test_bad_address_is_reported_although_another_lookup_fails() -> None:
    check_result = await run_check(rdns, SUBJECT, Zone(TWO | {PTR: SERVFAIL}))
    assert [finding.subject for finding in check_result.findings] == ["192.0.2.2"]
    assert check_result.facts["hosts"] == {"mx2.example.org": "none"}
    assert not check_result.definite

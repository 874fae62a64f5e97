"""A fix is shown only if it is proven, whatever the type of its record."""

from typing import Any

import pytest

from app.checks import CHECKS
from app.checks.dns import dns
from app.checks.dns.caa import caa
from app.checks.dns.dnssec import dnssec
from app.checks.engine.execution import run_check
from app.checks.engine.types import (
    Check,
    CheckResult,
    FindingType,
    Fix,
    Outcome,
    Severity,
    Subject,
    check,
)
from app.checks.mx import mx
from app.checks.mx.rdns import rdns
from app.ports.dns import Caa
from app.ports.network import NetworkSession
from app.protocols.names import DomainName
from tests.support.zones import Zone

DOMAIN = DomainName("acme.test")
SUBJECT = Subject(DOMAIN)
BAD = FindingType(
    code="made_up.bad",
    severity=Severity.HIGH,
    summary="Bad",
    observed="",
    why="It is bad.",
    remediation="Improve it.",
    reference="RFC 1",
)
TYPES = ["TXT", "MX", "TLSA", "CAA", "CNAME", "NS", "DS", "PTR", "A", "AAAA", "SOA", "SPF", "NONE"]


def made_up(rdtype: str) -> Check:
    """A check with a finding that no change removes."""

    @check("made_up", finds=(BAD,))
    async def run(subject: Subject, dns: NetworkSession) -> Outcome:
        values = await dns.resolve(subject.domain, rdtype)
        before = str(values.rdatas[0]) if values.rdatas else None
        fix = Fix(
            action="remove",
            name=subject.domain,
            type=rdtype,
            before=before,
            after=None,
            rollback="Undo it.",
            why="It is better.",
        )
        return Outcome({}, BAD.at(subject.domain, fix=fix))

    return run


@pytest.mark.parametrize("rdtype", TYPES)
async def test_fix_that_solves_nothing_is_not_shown(rdtype: str) -> None:
    result = await run_check(made_up(rdtype), SUBJECT, Zone({(DOMAIN, rdtype): ["10 value"]}))
    [finding] = result.findings
    assert finding.fix is None


def fix_of(result: CheckResult, code: str) -> Fix | None:
    """The fix of the finding with this code."""
    [finding] = [item for item in result.findings if item.kind.code == code]
    return finding.fix


SERVERS: dict[Any, Any] = {
    ("acme.test", "NS"): ["ns1.acme.test", "ns2.acme.test", "gone.acme.test"],
    ("acme.test", "SOA"): ["ns1.acme.test. h.acme.test. 1"],
    ("test", "NS"): ["a.nic.test"],
    ("ns1.acme.test", "A"): ["192.0.2.1"],
    ("ns2.acme.test", "A"): ["192.0.2.2"],
}


async def test_name_server_without_address_may_be_removed() -> None:
    fix = fix_of(await run_check(dns, SUBJECT, Zone(SERVERS)), "dns.delegation_lame")
    assert fix is not None
    assert (fix.action, fix.before) == ("remove", "gone.acme.test.")


async def test_second_last_name_server_is_not_to_be_removed() -> None:
    zone = Zone(SERVERS | {("acme.test", "NS"): ["ns1.acme.test", "gone.acme.test"]})
    assert fix_of(await run_check(dns, SUBJECT, zone), "dns.delegation_lame") is None


async def test_alias_to_nothing_may_be_removed_below_the_domain_only() -> None:
    below = Zone(SERVERS | {("mta-sts.acme.test", "CNAME"): ["gone.vendor.test"]})
    fix = fix_of(await run_check(dns, SUBJECT, below), "dns.dangling_cname")
    assert fix is not None
    assert (fix.name, fix.before) == ("mta-sts.acme.test", "gone.vendor.test.")
    apex = Zone({("acme.test", "CNAME"): ["gone.vendor.test"], ("test", "NS"): ["a.nic.test"]})
    assert fix_of(await run_check(dns, SUBJECT, apex), "dns.dangling_cname") is None


async def test_alias_at_the_apex_has_no_fix() -> None:
    zone = Zone(
        {("acme.test", "CNAME"): ["www.vendor.test"], ("www.vendor.test", "A"): ["192.0.2.1"]}
    )
    assert fix_of(await run_check(dns, SUBJECT, zone), "dns.cname_at_record") is None


async def test_reverse_name_that_leads_back_may_be_published() -> None:
    zone = Zone({(DOMAIN, "MX"): ["10 mx.acme.test"], ("mx.acme.test", "A"): ["192.0.2.1"]})
    fix = fix_of(await run_check(rdns, SUBJECT, zone), "rdns.missing")
    assert fix is not None
    assert (fix.name, fix.after) == ("1.2.0.192.in-addr.arpa", "mx.acme.test.")


async def test_sha1_ds_record_may_be_removed_next_to_a_better_one() -> None:
    weak, strong = "1 13 1 aa", "1 13 2 bb"
    records = SERVERS | {(DOMAIN, "DS"): [weak, strong]}
    fix = fix_of(
        await run_check(dnssec, SUBJECT, Zone(records, authenticated=True)),
        "dnssec.digest_deprecated",
    )
    assert fix is not None
    assert fix.before == weak


async def test_signed_records_stay_signed_in_the_proof() -> None:
    zone = Zone(
        {
            (DOMAIN, "MX"): ["10 alias.acme.test"],
            ("alias.acme.test", "CNAME"): ["mx.acme.test"],
            ("mx.acme.test", "A"): ["192.0.2.1"],
            ("mx.acme.test", "AAAA"): ["2001:db8::1"],
        },
        authenticated=True,
    )
    fix = fix_of(await run_check(mx, SUBJECT, zone), "mx.points_to_cname")
    assert fix is not None
    assert fix.after == "10 mx.acme.test."


async def test_last_caa_record_that_restricts_is_not_removed() -> None:
    wild = Caa(0, "issuewild", "ca.test")
    zone = Zone({(DOMAIN, "CAA"): [Caa(0, "issue", "not a domain"), wild]})
    assert fix_of(await run_check(caa, SUBJECT, zone), "caa.syntax_error") is None
    zone = Zone({(DOMAIN, "CAA"): [Caa(0, "issue", "not a domain"), Caa(0, "issue", "ca.test")]})
    assert fix_of(await run_check(caa, SUBJECT, zone), "caa.syntax_error") is not None


async def test_no_record_is_proposed_where_the_name_is_an_alias() -> None:
    [spf] = [candidate for candidate in CHECKS if candidate.name == "spf"]
    alias: dict[Any, Any] = {("acme.test", "CNAME"): ["gone.vendor.test"]}
    assert fix_of(await run_check(spf, SUBJECT, Zone(alias)), "spf.missing") is None
    wildcard: dict[Any, Any] = {("*.test", "CNAME"): ["gone.vendor.example"]}
    assert fix_of(await run_check(spf, SUBJECT, Zone(wildcard)), "spf.missing") is not None

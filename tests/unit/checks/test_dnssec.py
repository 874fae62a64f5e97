"""The dnssec check: signed, validated, broken, or undetermined."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.checks.dns.dnssec import dnssec
from app.checks.engine.execution import run_check
from app.checks.engine.types import Subject, Verdict
from app.ports.dns import Answer, LookupFailed, Signature, Soa
from app.protocols.names import DomainName
from tests.support.zones import SERVFAIL, TIMEOUT, Zone

SUBJECT = Subject(DomainName("example.org"))
SUB = Subject(DomainName("mail.example.org"))

SOA = ("example.org", "SOA")
DS = ("example.org", "DS")
UNSIGNED: dict[Any, Any] = {
    SOA: [Soa(mname="ns1.example.net", rname="h.example.net", serial=1, minimum=300)]
}
SHA2, SHA1 = "12345 13 2 ABCDEF", "12345 13 1 ABCDEF"
SIGNED: dict[Any, Any] = UNSIGNED | {DS: [SHA2]}


class Validating(Zone):
    """A zone whose SOA a validating resolver refuses, unless checking is disabled."""

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        if rdtype == "SOA" and not checking_disabled:
            raise LookupFailed(name, rdtype, "servfail")
        return await super().resolve(name, rdtype, checking_disabled=checking_disabled)


@pytest.mark.parametrize(
    ("data", "authenticated", "codes"),
    [
        (SIGNED, True, []),
        (UNSIGNED, False, ["dnssec.missing"]),
        (UNSIGNED | {DS: ["12345 5 2 AB"]}, True, ["dnssec.algorithm_deprecated"]),
        (UNSIGNED | {DS: ["12345 7 2 AB", SHA2]}, True, ["dnssec.algorithm_deprecated"]),
        (UNSIGNED | {DS: [SHA1]}, True, ["dnssec.digest_deprecated"]),
    ],
)
async def test_findings_describe_signing_of_the_zone(
    data: dict[Any, Any], authenticated: bool, codes: list[str]
) -> None:
    outcome = await dnssec.run(SUBJECT, Zone(data, authenticated=authenticated))
    assert [finding.kind.code for finding in outcome.findings] == codes


async def test_facts_contain_observed_values() -> None:
    outcome = await dnssec.run(SUBJECT, Zone(SIGNED, authenticated=True))
    assert outcome.facts == {
        "signed": True,
        "ad": True,
        "zone": "example.org",
        "algorithms": [13],
    }


async def test_missing_domain_is_not_applicable() -> None:
    missing = Subject(DomainName("nosuch.example.org"))
    outcome = await dnssec.run(missing, Zone(SIGNED, authenticated=True))
    assert [finding.kind.code for finding in outcome.findings] == ["dnssec.not_applicable"]
    assert outcome.verdict is Verdict.INFO
    assert outcome.facts == {"signed": False, "ad": False, "zone": "example.org", "algorithms": []}


async def test_answer_only_without_validation_is_bogus() -> None:
    outcome = await dnssec.run(SUBJECT, Validating(SIGNED))
    assert [finding.kind.code for finding in outcome.findings] == ["dnssec.bogus"]
    assert outcome.verdict is Verdict.FAIL
    assert outcome.facts["ad"] is False


async def test_subdomain_is_bogus_with_its_zone() -> None:
    outcome = await dnssec.run(SUB, Validating(SIGNED | {"mail.example.org": ["text"]}))
    assert [finding.subject for finding in outcome.findings] == ["example.org"]


async def test_subdomain_is_signed_with_its_zone() -> None:
    zone = Zone(SIGNED | {"mail.example.org": ["text"]}, authenticated=True)
    outcome = await dnssec.run(SUB, zone)
    assert not outcome.findings
    assert outcome.facts["zone"] == "example.org"


async def test_delegated_subdomain_without_ds_is_not_signed() -> None:
    soa = Soa(mname="ns1.example.net", rname="h.example.net", serial=1, minimum=300)
    outcome = await dnssec.run(SUB, Zone(SIGNED | {("mail.example.org", "SOA"): [soa]}))
    assert [finding.subject for finding in outcome.findings] == ["mail.example.org"]


@pytest.mark.parametrize(
    "zone",
    [
        Zone(SIGNED),  # a DS, but AD clear: the resolver does not validate
        Zone(SIGNED | {SOA: SERVFAIL}),  # no answer without validation either
        Zone(SIGNED | {SOA: TIMEOUT}),
        Zone(SIGNED | {DS: SERVFAIL}, authenticated=True),
        Validating(UNSIGNED),  # nothing to validate against
    ],
)
async def test_failed_query_is_undetermined(zone: Zone) -> None:
    check_result = await run_check(dnssec, SUBJECT, zone)
    assert check_result.verdict is Verdict.UNDETERMINED
    assert not check_result.findings


async def test_sha1_digest_is_removed_only_if_a_better_one_exists() -> None:
    (alone,) = (
        await dnssec.run(SUBJECT, Zone(UNSIGNED | {DS: [SHA1]}, authenticated=True))
    ).findings
    (finding,) = (
        await dnssec.run(SUBJECT, Zone(UNSIGNED | {DS: [SHA1, SHA2]}, authenticated=True))
    ).findings
    assert alone.fix is None
    assert finding.fix is not None
    assert finding.fix.before == SHA1


NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def signature(age: timedelta, remaining: timedelta) -> Signature:
    """A signature that has been valid for ``age``."""
    return Signature(6, int((NOW - age).timestamp()), int((NOW + remaining).timestamp()))


async def ends(*signed: Signature, rdtype: str = "SOA", now: datetime | None = NOW) -> list[str]:
    """The codes for a zone with these signatures over one set."""
    zone = Zone(SIGNED, authenticated=True, signatures={("example.org", rdtype): signed})
    outcome = await dnssec.run(Subject(SUBJECT.domain, now=now), zone)
    return [finding.kind.code for finding in outcome.findings]


@pytest.mark.parametrize(
    ("age", "remaining", "is_late"),
    [
        (12.7 * DAY, 1.3 * DAY, True),
        (12.5 * DAY, 1.5 * DAY, False),
        (DAY, DAY, False),  # signed for each answer, for two days
        (85 * DAY, 5 * DAY, True),  # of a key-signing key that is offline
        (14 * DAY, -DAY, True),
    ],
)
async def test_signature_is_late_with_a_tenth_of_its_lifetime_left(
    age: timedelta, remaining: timedelta, is_late: bool
) -> None:
    assert await ends(signature(age, remaining)) == ["dnssec.expiring_rrsig"] * is_late


@pytest.mark.parametrize("rdtype", ["SOA", "NS", "DNSKEY"])
async def test_each_checked_set_can_be_late(rdtype: str) -> None:
    assert await ends(signature(13 * DAY, DAY), rdtype=rdtype) == ["dnssec.expiring_rrsig"]


async def test_later_of_two_signatures_counts() -> None:
    assert await ends(signature(13 * DAY, DAY), signature(DAY, 13 * DAY)) == []


async def test_without_a_clock_nothing_is_late() -> None:
    assert await ends(signature(13 * DAY, DAY), now=None) == []


async def test_facts_contain_first_signature_expiry() -> None:
    signed = {
        ("example.org", "SOA"): [signature(DAY, 13 * DAY)],
        ("example.org", "DNSKEY"): [signature(DAY, 5 * DAY)],
    }
    outcome = await dnssec.run(SUBJECT, Zone(SIGNED, authenticated=True, signatures=signed))
    assert outcome.facts["signatures_end"] == "2026-06-06T00:00:00.000Z"

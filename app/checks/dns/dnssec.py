"""Whether the zone of the domain is signed, validates, and has signatures that are renewed in time.

The expiry of signatures is read from the SOA, NS and DNSKEY sets: if the signer stops, all of them
expire; if it loses its key-signing key, only that of DNSKEY does.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from app.checks.engine.types import (
    Finding,
    FindingType,
    Fix,
    Outcome,
    Severity,
    Subject,
    Verdict,
    check,
)
from app.ports.dns import Answer, LookupFailed, Resolver
from app.protocols import timestamps

MISSING = FindingType(
    code="dnssec.missing",
    severity=Severity.LOW,
    summary="DNSSEC is not enabled",
    observed="The parent zone has no DS record for {subject}.",
    why="An attacker can forge DNS answers for the domain, such as its MX and TXT records.",
    remediation="Sign the zone and enter its DS record at the registrar.",
    note="The parent zone has no DS record.",
    reference="RFC 9364 §1.1",
    verdict=Verdict.INFO,
)
BOGUS = FindingType(
    code="dnssec.bogus",
    severity=Severity.CRITICAL,
    summary="DNSSEC is broken: the domain is unreachable for validating resolvers",
    observed="The parent zone has the DS records {ds} for {subject}, but a validating lookup "
    "failed: {reason:text}.",
    why="Resolvers that validate DNSSEC reject every answer, so the domain is unreachable for "
    "their users.",
    remediation="Sign the zone again, or have the outdated DS record removed at the registrar.",
    note="There is a DS record, and answers arrive only with validation disabled.",
    reference="RFC 4035 §5.5",
)
WEAK_ALGORITHM = FindingType(
    code="dnssec.algorithm_deprecated",
    severity=Severity.MEDIUM,
    summary="DNSSEC uses a deprecated algorithm that validators are dropping",
    observed="{subject} is signed with {algorithms}.",
    why="Validators that no longer support the algorithm treat the zone as unsigned, so that its "
    "answers can be forged.",
    remediation="Roll over to algorithm 13 (ECDSA P-256) or 8 (RSA/SHA-256).",
    note="The DS record uses an algorithm with MD5, DSA or SHA-1.",
    reference="RFC 8624 §3.1; RFC 9905 §2",
)
WEAK_DIGEST = FindingType(
    code="dnssec.digest_deprecated",
    severity=Severity.LOW,
    summary="DNSSEC: a DS record uses a SHA-1 digest, which is deprecated",
    observed="The parent zone has the DS record {ds} for {subject}. The third number, the digest "
    "type, is 1 (SHA-1).",
    why="Validators may ignore the DS record, and treat the zone as unsigned if there is no "
    "other one.",
    remediation="Add a DS record with digest type 2 (SHA-256), then remove this one.",
    note="The digest type is 1 (SHA-1).",
    reference="RFC 8624 §3.3",
)
EXPIRING = FindingType(
    code="dnssec.expiring_rrsig",
    severity=Severity.HIGH,
    summary="DNSSEC signatures expire soon because they were not renewed in time",
    observed="Signatures of {subject} are about to expire: {ends:days}.",
    why="When the signatures expire, the domain becomes unreachable for resolvers that validate "
    "DNSSEC.",
    remediation="Find out why the signer stopped, and sign the zone (or its DNSKEY set) again.",
    note="A tenth of the lifetime of a signature is left, or less.",
    reference="RFC 6781 §4.4.2",
)
NOT_APPLICABLE = FindingType(
    code="dnssec.not_applicable",
    severity=Severity.INFO,
    summary="DNSSEC: the domain does not exist, so there is nothing to sign",
    observed="DNS has no zone with the name {subject}.",
    why="A domain that does not exist has no zone to sign.",
    remediation="No action is needed for DNSSEC; see `dns.domain_not_found`.",
    reference="RFC 8020 §2",
    verdict=Verdict.INFO,
)

_WEAK_ALGORITHMS = {1: "RSAMD5", 3: "DSA", 5: "RSASHA1", 6: "DSA-NSEC3", 7: "RSASHA1-NSEC3"}
_SHA1 = 1
# The share of its lifetime that is left when a signature counts as late. Signers renew when a sixth
# to a half of it is left; some sign each answer separately, for two days: a fixed number of days
# would be wrong for either.
EXPIRY_NOTICE = 0.1


@check(
    "dnssec",
    finds=(MISSING, BOGUS, WEAK_ALGORITHM, WEAK_DIGEST, EXPIRING, NOT_APPLICABLE),
    logic_version=2,
)
async def dnssec(subject: Subject, dns: Resolver) -> Outcome:
    """Check that the zone of the domain is signed and its signatures validate.

    facts   signed, ad (the resolver validated), zone, algorithms (numbers); signatures_end (when
            the first of the signatures expires)
    raises  LookupFailed also if there is a DS record, but the resolver does not validate
    source  RFC 4035 §3.2.3, §5; RFC 6840 §5.7
    """
    domain = subject.domain
    dns.prefetch((domain, "SOA"), (domain, "DS"))
    zone, soa, failure = await _zone(domain, dns)
    own = await dns.resolve(domain, "DS")
    if zone != domain and not (own.exists or own.aliases):
        facts: dict[str, Any] = {"signed": False, "ad": False, "zone": zone, "algorithms": []}
        return Outcome(facts, NOT_APPLICABLE.at(domain))
    answer = own if zone == domain else await dns.resolve(zone, "DS")
    records = tuple(str(record) for record in answer.rdatas)
    facts = {
        "signed": bool(records) or soa.authenticated,
        "ad": soa.authenticated and failure is None,
        "zone": zone,
        "algorithms": sorted({algorithm for algorithm, _ in map(_numbers, records)}),
    }
    if failure is not None:
        if not records:  # without a DS record the lookup failed for another reason
            raise failure
        return Outcome(facts, BOGUS.at(zone, ds=list(records), reason=failure.reason))
    if records and not soa.authenticated:
        # RFC 6840 §5.7: without AD the resolver does not validate, or does not know the algorithm.
        raise LookupFailed(zone, "SOA", "unvalidated")
    if not soa.authenticated:
        return Outcome(facts, MISSING.at(zone))
    signed = {
        "SOA": soa,
        "NS": await dns.resolve(zone, "NS"),
        "DNSKEY": await dns.resolve(zone, "DNSKEY"),
    }
    facts |= _first_expiry(signed)
    return Outcome(facts, *_weaknesses(zone, records), *_late(zone, signed, subject.now))


async def _zone(domain: str, dns: Resolver) -> tuple[str, Answer, LookupFailed | None]:
    """The zone of the name, its SOA, and how the lookup failed if the SOA does not validate.

    returns  the name itself if there is no SOA up to the TLD
    """
    name = domain
    while name:
        answer, failure = await _soa(name, dns)
        if answer.rdatas and not answer.aliases:
            return name, answer, failure
        name = name.partition(".")[2]
    return domain, Answer(domain, "SOA", "NOERROR"), None


async def _soa(name: str, dns: Resolver) -> tuple[Answer, LookupFailed | None]:
    """The SOA, and the failure if there is an answer only without validation (RFC 4035 §3.2.2)."""
    try:
        return await dns.resolve(name, "SOA"), None
    except LookupFailed as error:
        if error.reason != "servfail":
            raise
        return await dns.resolve(name, "SOA", checking_disabled=True), error


def _first_expiry(signed: Mapping[str, Answer]) -> dict[str, str]:
    """The fact that says when the first signature expires; none without signatures."""
    ends = [signature.ends for answer in signed.values() for signature in answer.signatures]
    if not ends:
        return {}
    return {"signatures_end": timestamps.text(datetime.fromtimestamp(min(ends), UTC))}


def _late(zone: str, signed: Mapping[str, Answer], now: datetime | None) -> Iterator[Finding]:
    """A finding for sets whose signatures are late; of each set the last one to expire counts."""
    if now is None:
        return
    seconds = now.timestamp()
    late = {}
    for rdtype, answer in signed.items():
        best = max(answer.signatures, key=lambda signature: signature.ends, default=None)
        if best and best.ends - seconds < EXPIRY_NOTICE * (best.ends - best.begins):
            late[rdtype] = timestamps.text(datetime.fromtimestamp(best.ends, UTC))
    if late:
        yield EXPIRING.at(zone, ends=late)


def _numbers(record: str) -> tuple[int, int]:
    """Algorithm and digest type of a DS record in presentation format (RFC 4034 §5.3)."""
    _, algorithm, digest, *_ = record.split()
    return int(algorithm), int(digest)


def _weaknesses(zone: str, records: tuple[str, ...]) -> list[Finding]:
    findings: list[Finding] = []
    weak = {algorithm for algorithm, _ in map(_numbers, records)} & _WEAK_ALGORITHMS.keys()
    if weak:
        names = [_WEAK_ALGORITHMS[algorithm] for algorithm in sorted(weak)]
        findings.append(WEAK_ALGORITHM.at(zone, algorithms=names))
    sha1 = [record for record in records if _numbers(record)[1] == _SHA1]
    if sha1:
        findings.append(WEAK_DIGEST.at(zone, fix=_without(zone, sha1, records), ds=sha1))
    return findings


def _without(zone: str, sha1: list[str], records: tuple[str, ...]) -> Fix | None:
    """The fix that removes the SHA-1 records; None unless each key also has a better record."""
    better = {record.split()[0] for record in records if record not in sha1}
    if not all(record.split()[0] in better for record in sha1):
        return None
    return Fix(
        action="remove",
        name=zone,
        type="DS",
        before="\n".join(sha1),
        after=None,
        rollback="Enter the DS record at the registrar again.",
        why="Validators use the SHA-2 digest. Remove the SHA-1 digest, which is deprecated.",
    )

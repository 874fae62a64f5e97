"""Whether the domain's zone is signed, validates, and will do so tomorrow.

When signatures end is seen of the SOA, NS and DNSKEY sets: a signer that has stopped lets all of
them run out, one that has lost its key-signing key the last of them.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from app.checks.answers import Answer, Answers, Undetermined
from app.checks.contract import Finding, Fix, Kind, Outcome, Severity, Subject, Verdict, check
from app.protocols import timestamps

MISSING = Kind(
    "dnssec.missing",
    Severity.LOW,
    "DNSSEC is not enabled",
    "RFC 9364 §1.1",
    verdict=Verdict.INFO,
)
BOGUS = Kind(
    "dnssec.bogus",
    Severity.CRITICAL,
    "DNSSEC is broken: the domain is unreachable for validating resolvers",
    "RFC 4035 §5.5",
)
WEAK_ALGORITHM = Kind(
    "dnssec.algorithm_deprecated",
    Severity.MEDIUM,
    "DNSSEC uses a deprecated algorithm that validators are dropping",
    "RFC 8624 §3.1; RFC 9905 §2",
)
WEAK_DIGEST = Kind(
    "dnssec.digest_deprecated",
    Severity.LOW,
    "DNSSEC: a DS record uses a SHA-1 digest, which is deprecated",
    "RFC 8624 §3.3",
)
EXPIRING = Kind(
    "dnssec.expiring_rrsig",
    Severity.HIGH,
    "DNSSEC signatures expire soon because they were not renewed in time",
    "RFC 6781 §4.4.2",
)
NOT_APPLICABLE = Kind(
    "dnssec.not_applicable",
    Severity.INFO,
    "DNSSEC: the domain does not exist, so there is nothing to sign",
    "RFC 8020 §2",
    verdict=Verdict.INFO,
)

_WEAK_ALGORITHMS = {1: "RSAMD5", 3: "DSA", 5: "RSASHA1", 6: "DSA-NSEC3", 7: "RSASHA1-NSEC3"}
_SHA1 = 1
# Of a signature's life that is left when it is late. Signers renew with a sixth to a half of it to
# go; some sign anew for each answer, for two days: a number of days would be wrong for either.
LATE = 0.1


@check(
    "dnssec",
    finds=(MISSING, BOGUS, WEAK_ALGORITHM, WEAK_DIGEST, EXPIRING, NOT_APPLICABLE),
    logic_version=2,
)
async def dnssec(subject: Subject, dns: Answers) -> Outcome:
    """Whether the domain's zone is signed, and its signatures validate.

    facts   signed, ad (the resolver validated), zone, algorithms (numbers); signatures_end (when
            the first of those that were seen does)
    raises  Undetermined also if there is a DS, but the resolver does not validate
    source  RFC 4035 §3.2.3, §5; RFC 6840 §5.7
    """
    domain = subject.domain
    dns.ask_ahead((domain, "SOA"), (domain, "DS"))
    zone, soa, failure = await _zone(domain, dns)
    own = await dns.ask(domain, "DS")
    if zone != domain and not (own.exists or own.aliases):
        facts: dict[str, Any] = {"signed": False, "ad": False, "zone": zone, "algorithms": []}
        return Outcome(facts, NOT_APPLICABLE.at(domain))
    answer = own if zone == domain else await dns.ask(zone, "DS")
    records = tuple(str(record) for record in answer.rdatas)
    facts = {
        "signed": bool(records) or soa.authenticated,
        "ad": soa.authenticated and failure is None,
        "zone": zone,
        "algorithms": sorted({algorithm for algorithm, _ in map(_numbers, records)}),
    }
    if failure is not None:
        if not records:  # nothing to validate against: it failed for another reason
            raise failure
        return Outcome(facts, BOGUS.at(zone, ds=list(records), reason=failure.reason))
    if records and not soa.authenticated:
        # RFC 6840 §5.7: without AD either the resolver does not validate, or not this algorithm.
        raise Undetermined(zone, "SOA", "unvalidated")
    if not soa.authenticated:
        return Outcome(facts, MISSING.at(zone))
    signed = {"SOA": soa, "NS": await dns.ask(zone, "NS"), "DNSKEY": await dns.ask(zone, "DNSKEY")}
    ends = [one.ends for answer in signed.values() for one in answer.signatures]
    if ends:
        facts["signatures_end"] = timestamps.text(datetime.fromtimestamp(min(ends), UTC))
    return Outcome(facts, *_weaknesses(zone, records), *_late(zone, signed, subject.now))


async def _zone(domain: str, dns: Answers) -> tuple[str, Answer, Undetermined | None]:
    """The zone that the name is in, its SOA, and how the look-up failed if it does not validate.

    returns  the name itself if no SOA is to be found up to the TLD
    """
    name = domain
    while name:
        answer, failure = await _soa(name, dns)
        if answer.rdatas and not answer.aliases:
            return name, answer, failure
        name = name.partition(".")[2]
    return domain, Answer(domain, "SOA", "NOERROR"), None


async def _soa(name: str, dns: Answers) -> tuple[Answer, Undetermined | None]:
    """The SOA; and the failure, if there is an answer only without validation (RFC 4035 §3.2.2)."""
    try:
        return await dns.ask(name, "SOA"), None
    except Undetermined as error:
        if error.reason != "servfail":
            raise
        return await dns.ask(name, "SOA", checking_disabled=True), error


def _late(zone: str, signed: Mapping[str, Answer], now: datetime | None) -> Iterator[Finding]:
    """The signatures that should have been renewed by now; each set is signed by any of its own."""
    if now is None:
        return
    seconds = now.timestamp()
    late = {}
    for rdtype, answer in signed.items():
        best = max(answer.signatures, key=lambda one: one.ends, default=None)
        if best and best.ends - seconds < LATE * (best.ends - best.begins):
            late[rdtype] = timestamps.text(datetime.fromtimestamp(best.ends, UTC))
    if late:
        yield EXPIRING.at(zone, ends=late)


def _numbers(record: str) -> tuple[int, int]:
    """Algorithm and digest type of a DS record in presentation format (RFC 4034 §5.3)."""
    _, algorithm, digest, *_ = record.split()
    return int(algorithm), int(digest)


def _weaknesses(zone: str, records: tuple[str, ...]) -> list[Finding]:
    found: list[Finding] = []
    weak = {algorithm for algorithm, _ in map(_numbers, records)} & _WEAK_ALGORITHMS.keys()
    if weak:
        named = [_WEAK_ALGORITHMS[algorithm] for algorithm in sorted(weak)]
        found.append(WEAK_ALGORITHM.at(zone, algorithms=named))
    sha1 = [record for record in records if _numbers(record)[1] == _SHA1]
    if sha1:
        found.append(WEAK_DIGEST.at(zone, fix=_without(zone, sha1, records), ds=sha1))
    return found


def _without(zone: str, sha1: list[str], records: tuple[str, ...]) -> Fix | None:
    """Taking the SHA-1 records away is right only where each key has a better one beside."""
    better = {record.split()[0] for record in records if record not in sha1}
    if not all(record.split()[0] in better for record in sha1):
        return None
    return Fix(
        "remove", zone, "DS", "\n".join(sha1), None,
        rollback="Enter the DS record at the registrar again.",
        why="Validators use the SHA-2 digest beside it; SHA-1 must no longer be published.",
    )  # fmt: skip

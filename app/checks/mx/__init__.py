"""Whether the domain has mail servers, or refuses mail on purpose."""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from app.checks.engine.types import (
    Finding,
    FindingType,
    Fix,
    Outcome,
    Severity,
    Subject,
    Usage,
    Verdict,
    check,
    finish,
    not_queried,
)
from app.ports.dns import Answer, LookupFailed, Mx, Resolver, or_failure

MISSING = FindingType(
    code="mx.missing",
    severity=Severity.MEDIUM,
    summary="No MX record: the domain cannot receive email",
    observed="{subject} has neither an MX record nor an address.",
    why="Senders find no server for the domain, and return mail to it as undeliverable.",
    remediation="Publish MX records, or a null MX if the domain should not receive mail.",
    note="The domain has neither MX nor address records; not reported for a domain that only "
    "sends.",
    reference="RFC 5321 §5.1",
)
IMPLICIT = FindingType(
    code="mx.implicit",
    severity=Severity.LOW,
    summary="No MX record: senders deliver to the domain's own address",
    observed="{subject} has no MX record, but has the addresses {addresses}.",
    why="Mail goes to the host at the A and AAAA records of the domain, which is often a web "
    "server that accepts no mail.",
    remediation="Publish an MX record that names the mail server.",
    reference="RFC 5321 §5.1",
)
NULL_OK = FindingType(
    code="mx.null_mx_ok",
    severity=Severity.INFO,
    summary="Null MX: the domain accepts no email",
    observed="The only MX record of {subject} is `0 .`.",
    why="Senders return mail to the domain immediately instead of trying to deliver it for days.",
    remediation="No action is needed.",
    note="`MX 0 .` is the only MX record.",
    reference="RFC 7505 §3",
)
NULL_MIXED = FindingType(
    code="mx.null_mx_mixed",
    severity=Severity.HIGH,
    summary="MX: null MX next to other MX records, so some mail may be lost",
    observed="{subject} has the MX records {records}. A null MX (`0 .`) must be the only MX "
    "record.",
    why="Some senders follow the null MX and refuse to deliver, while others use the other MX "
    "records.",
    remediation="Remove the null MX; on a parked domain, remove the other records.",
    reference="RFC 7505 §3",
)
NULL_MISSING = FindingType(
    code="mx.null_mx_missing",
    severity=Severity.LOW,
    summary="MX: parked domain has no null MX, so it appears to accept email",
    observed="The domain is set to parked, and {subject} has the MX records {records}.",
    why="Senders try for days to deliver mail to a domain that accepts none.",
    remediation="Replace the current records with `MX 0 .`.",
    note="The domain use is set to parked.",
    reference="RFC 7505 §1",
)
NULL_UNEXPECTED = FindingType(
    code="mx.null_mx_unexpected",
    severity=Severity.HIGH,
    summary="MX: null MX on a domain that should receive email, so all of it is refused",
    observed="The MX record of {subject} is `0 .`, although the domain is set to receive email.",
    why="Senders return all mail to the domain as undeliverable.",
    remediation="Publish the MX records of the mail servers.",
    note="The domain use says that it receives mail.",
    reference="RFC 7505 §4",
)
NO_ADDRESS = FindingType(
    code="mx.host_no_address",
    severity=Severity.HIGH,
    summary="MX: mail server has no address, so senders cannot deliver to it",
    observed="The MX record {record} names {subject}, which has neither an A nor an AAAA record.",
    why="Senders cannot connect to this host; if it is the only one, mail is not delivered.",
    remediation="Give the host an address, or remove the MX record.",
    note="The host does not exist, or has neither an A nor an AAAA record.",
    reference="RFC 5321 §5.1",
)
TO_ALIAS = FindingType(
    code="mx.points_to_cname",
    severity=Severity.MEDIUM,
    summary="MX: record points to an alias (CNAME), which some senders refuse",
    observed="The mail server {subject} is an alias of {alias}. An MX record must name a host with "
    "its own address.",
    why="Some mail servers refuse to deliver to a host name that is an alias.",
    remediation="Name the canonical host in the MX record.",
    note="An MX record must name a host that has addresses itself.",
    reference="RFC 2181 §10.3",
)
TO_IP = FindingType(
    code="mx.points_to_ip",
    severity=Severity.HIGH,
    summary="MX: record contains an IP address instead of a host name, so senders skip it",
    observed="The MX record {record} contains an address.",
    why="Senders look the text up as a host name, find nothing, and skip the record.",
    remediation="Name a host that has this address.",
    reference="RFC 5321 §5.1",
)
NOT_PUBLIC = FindingType(
    code="mx.host_not_public",
    severity=Severity.HIGH,
    summary="MX: mail server has a non-public address, which senders cannot reach",
    observed="The mail server {subject} has the addresses {addresses}, which cannot be reached "
    "from the Internet.",
    why="Senders on the internet cannot reach the address, so delivery fails or is delayed.",
    remediation="Remove the address from DNS, or publish the public one.",
    note="The address is private, loopback or link-local; medium if the host has a public "
    "address too.",
    reference="RFC 6890 §2.2.2",
)
NO_IPV6 = FindingType(
    code="mx.ipv6_missing",
    severity=Severity.INFO,
    summary="MX: no mail server has an IPv6 address, so IPv6-only senders cannot deliver",
    observed="None of the mail servers {hosts} has an AAAA record.",
    why="Senders that have IPv6 addresses only cannot deliver mail to the domain.",
    remediation="Give one of the hosts an AAAA record.",
    reference="RFC 3974 §2",
)

# Not is_global: it also excludes the documentation networks, which examples use.
_UNREACHABLE = [
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.168.0.0/16", "::/127", "fc00::/7", "fe80::/10"),
    )
]

_FAMILIES = ("A", "AAAA")

MAX_HOSTS = 20  # in order of preference: a domain may list hundreds


@dataclass(frozen=True, slots=True)
class _Target:
    """One MX record and the addresses of its host.

    alias   the canonical name, if the host is an alias
    failure  why one of the two address lookups failed, while the other returned an address
    """

    record: Mx
    addresses: tuple[str, ...] = ()
    alias: str | None = None
    failure: LookupFailed | None = None


NULL_SENDS = FindingType(
    code="mx.null_mx_on_sending_domain",
    severity=Severity.MEDIUM,
    summary="MX: domain sends mail but has a null MX, so receivers may refuse its mail",
    observed="The MX record of {subject} is `0 .`, although the domain is set to send email.",
    why="Replies and bounces to the domain cannot be delivered, and receivers may refuse mail "
    "whose sender cannot receive a reply.",
    remediation="Publish the MX record of a server that accepts replies, or set the usage of the "
    "domain to parked.",
    reference="RFC 7505 §4.2",
)


@check(
    "mx",
    finds=(
        *(MISSING, IMPLICIT, NULL_OK, NULL_MIXED, NULL_MISSING, NULL_UNEXPECTED),
        *(NO_ADDRESS, TO_ALIAS, TO_IP, NOT_PUBLIC, NO_IPV6, NULL_SENDS),
    ),
    logic_version=2,
)
async def mx(subject: Subject, dns: Resolver) -> Outcome:
    """Check that mail servers of the domain have addresses, or that it refuses mail on purpose.

    facts  null_mx, null_mx_with_others, implicit, hosts (by preference), cname_targets,
           unresolvable_targets (both are part of hosts), hosts_not_queried (how many beyond 20)
    """
    records = await dns.mx(subject.domain)
    hosted = [record for record in records if record.host]
    if not records:
        return await _without_mx(subject, dns)
    if not hosted:
        return _null(subject)
    hosts = _hosts(hosted)
    queried = [record for record in hosted if record.host in hosts[:MAX_HOSTS]]
    dns.prefetch(*((record.host, rdtype) for record in queried for rdtype in _FAMILIES))
    results = [await or_failure(_target(record, dns)) for record in queried]
    targets = [target for target in results if isinstance(target, _Target)]
    unknown = [target for target in results if isinstance(target, LookupFailed)]
    failures = [*unknown, *(target.failure for target in targets if target.failure)]
    findings = [*_about_set(subject, records), *_about_targets(subject.domain, targets)]
    if not failures and len(hosts) <= MAX_HOSTS and not any(map(_has_ipv6, targets)):
        findings.append(NO_IPV6.at(subject.domain, hosts=hosts))
    facts = _facts(
        null_mx_with_others=len(hosted) < len(records),
        hosts=hosts,
        cname_targets=[target.record.host for target in targets if target.alias],
        unresolvable_targets=[target.record.host for target in targets if not target.addresses],
        **not_queried(hosts_not_queried=len(hosts) - MAX_HOSTS),
    )
    # A host with an address can have another one that is not public, or an alias.
    return finish(facts, findings, failures, worst=Verdict.FAIL if unknown else Verdict.WARN)


def _facts(**values: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "null_mx": False,
        "null_mx_with_others": False,
        "implicit": False,
        "hosts": [],
        "cname_targets": [],
        "unresolvable_targets": [],
    }
    return defaults | values


def _hosts(records: Sequence[Mx]) -> list[str]:
    return list(dict.fromkeys(record.host for record in records))


def _null(subject: Subject) -> Outcome:
    """The outcome for a null MX alone. ``BOTH`` is the default, so only ``RECEIVES`` counts."""
    domain = subject.domain
    if subject.usage is Usage.SENDS:
        return Outcome(_facts(null_mx=True), NULL_SENDS.at(domain))
    if subject.usage is not Usage.RECEIVES:
        return Outcome(_facts(null_mx=True), NULL_OK.at(domain))
    fix = Fix(
        action="remove",
        name=domain,
        type="MX",
        before="0 .",
        after=None,
        rollback=f"Publish {domain}. MX 0 . again.",
        why="Senders bounce every message. Publish the MX records of your mail servers instead.",
    )
    return Outcome(_facts(null_mx=True), NULL_UNEXPECTED.at(domain, fix=fix))


async def _without_mx(subject: Subject, dns: Resolver) -> Outcome:
    domain = subject.domain
    if subject.usage is Usage.PARKED:
        return Outcome(_facts(), _null_missing(domain, ()))
    dns.prefetch((domain, "A"), (domain, "AAAA"))
    answers = [await dns.resolve(domain, "A"), await dns.resolve(domain, "AAAA")]
    addresses = [str(address) for answer in answers for address in answer.rdatas]
    facts = _facts(implicit=bool(addresses))
    if subject.usage is Usage.SENDS:
        return Outcome(facts)
    if not addresses:
        return Outcome(facts, MISSING.at(domain))
    fix = Fix(
        action="publish",
        name=domain,
        type="MX",
        before=None,
        after=f"10 {domain}.",
        rollback=f"Remove {domain}. MX 10 {domain}.",
        why="Senders assume this host now. If another host receives the mail, name that one.",
    )
    return Outcome(facts, IMPLICIT.at(domain, fix=fix, addresses=addresses))


def _null_missing(domain: str, records: Sequence[Mx]) -> Finding:
    before = "\n".join(map(str, records)) or None
    fix = Fix(
        action="replace" if records else "publish",
        name=domain,
        type="MX",
        before=before,
        after="0 .",
        rollback=f"Restore {domain}. MX: {before}" if before else f"Remove {domain}. MX 0 .",
        why="Publish a null MX. Senders then bounce mail to the domain immediately.",
    )
    return NULL_MISSING.at(domain, fix=fix, records=[str(record) for record in records])


async def _target(record: Mx, dns: Resolver) -> _Target:
    """The record with the addresses of its host.

    raises  LookupFailed if there is no address and a lookup failed
    """
    if _is_ip(record.host):
        return _Target(record)
    answers = [await or_failure(dns.resolve(record.host, rdtype)) for rdtype in _FAMILIES]
    definite = [answer for answer in answers if isinstance(answer, Answer)]
    failed = [answer for answer in answers if isinstance(answer, LookupFailed)]
    addresses = tuple(str(address) for answer in definite for address in answer.rdatas)
    if failed and not addresses:
        raise failed[0]
    alias = next((answer.aliases[-1] for answer in definite if answer.aliases), None)
    failure = failed[0] if failed else None
    return _Target(record=record, addresses=addresses, alias=alias, failure=failure)


def _about_set(subject: Subject, records: Sequence[Mx]) -> Iterator[Finding]:
    domain = subject.domain
    null = [str(record) for record in records if not record.host]
    is_parked = subject.usage is Usage.PARKED
    if null:
        all_records = "\n".join(map(str, records))
        fix = Fix(
            action="replace" if is_parked else "remove",
            name=domain,
            type="MX",
            before=all_records if is_parked else null[0],
            after="0 ." if is_parked else None,
            rollback=f"Restore {domain}. MX: {all_records}",
            why="Some senders follow the null MX, others the other records. Keep only one kind.",
        )
        yield NULL_MIXED.at(domain, fix=fix, records=[str(record) for record in records])
    elif is_parked:
        yield _null_missing(domain, records)


def _about_targets(domain: str, targets: Sequence[_Target]) -> Iterator[Finding]:
    """Findings about each host, once even if several records name it."""
    for target in {target.record.host: target for target in targets}.values():
        host, before = target.record.host, str(target.record)
        if _is_ip(host):
            yield TO_IP.at(host, fix=_replacing(domain, before, None), record=before)
        elif not target.addresses:
            fix = _replacing(domain, before, None)
            yield NO_ADDRESS.at(host, fix=fix, record=before, alias=target.alias)
        elif target.alias:
            after = str(Mx(target.record.preference, target.alias))
            yield TO_ALIAS.at(host, fix=_replacing(domain, before, after), alias=target.alias)
        inner = [address for address in target.addresses if _is_unreachable(address)]
        if inner:
            is_all = len(inner) == len(target.addresses)
            severity = Severity.HIGH if is_all else Severity.MEDIUM
            yield NOT_PUBLIC.at(host, severity=severity, addresses=inner)


def _replacing(domain: str, before: str, after: str | None) -> Fix:
    return Fix(
        action="replace" if after else "remove",
        name=domain,
        type="MX",
        before=before,
        after=after,
        rollback=f"Set {domain}. MX {before} again.",
        why="An MX record must name a host that has addresses itself. "
        "Otherwise senders skip it, or retry until they give up.",
    )


def _is_ip(host: str) -> bool:
    if ":" not in host and not host[-1:].isdigit():
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _has_ipv6(target: _Target) -> bool:
    return any(":" in address for address in target.addresses)


@lru_cache(4096)
def _is_unreachable(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    return any(ip in network for network in _UNREACHABLE)

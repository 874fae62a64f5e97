"""Whether the addresses of the MX hosts have PTR names that resolve back to them."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.checks.engine.types import (
    Finding,
    FindingType,
    Fix,
    Outcome,
    Severity,
    Subject,
    Verdict,
    check,
    finish,
    not_queried,
)
from app.ports.dns import LookupFailed, Resolver, or_failure

MISSING = FindingType(
    code="rdns.missing",
    severity=Severity.LOW,
    summary="Reverse DNS: mail server address has no PTR record, so receivers may distrust "
    "its mail",
    observed="{subject} is an address of the mail server {host}. A PTR lookup for it finds no "
    "name.",
    why="Receivers often reject mail from an address without a PTR record, or treat it as spam.",
    remediation="Ask the owner of the address block to publish a PTR record that names the host.",
    reference="RFC 1912 §2.1",
)
MISMATCH = FindingType(
    code="rdns.mismatch",
    severity=Severity.LOW,
    summary="Reverse DNS: PTR name does not resolve back to the mail server's address",
    observed="{subject} is an address of the mail server {host}. Its PTR record is {names}, and "
    "none of these names has this address.",
    why="Receivers cannot confirm which host has the address, and may reject its mail or treat "
    "it as spam.",
    remediation="Make the PTR record and the A or AAAA record point to each other.",
    note="None of the names in the PTR record resolves to the address.",
    reference="RFC 8601 §3",
)

MAX_HOSTS = 10  # in order of preference: a domain may list hundreds
MAX_ADDRESSES = 20  # of all hosts together
MAX_NAMES = 10  # of one address; receivers check no more (RFC 7208 §4.6.4)

Status = Literal["confirmed", "mismatch", "none"]
_BADNESS: list[Status] = ["confirmed", "mismatch", "none"]


@dataclass(frozen=True, slots=True)
class _Reverse:
    """One address of one host, and the names in its PTR records."""

    host: str
    address: str
    status: Status
    names: tuple[str, ...] = ()


@check("rdns", finds=(MISSING, MISMATCH), logic_version=1)
async def rdns(subject: Subject, dns: Resolver) -> Outcome:
    """Check that the addresses of the MX hosts have PTR names that resolve back to them.

    facts   null_mx; hosts, each MX host with ``confirmed``, ``mismatch`` or ``none``, the worst of
            its addresses; a host without address is left out; hosts_not_queried,
            addresses_not_queried (how many beyond the first ten, and beyond their first twenty
            addresses, if any)
    source  RFC 1912 §2.1; RFC 8601 §2.7.3, §3 (iprev)
    """
    records = await dns.mx(subject.domain)
    hosts = list(dict.fromkeys(record.host for record in records if record.host))
    if records and not hosts:
        return Outcome({"null_mx": True, "hosts": {}})
    hosts = hosts or [subject.domain]  # the implicit MX (RFC 5321 §5.1)
    queried_hosts = hosts[:MAX_HOSTS]
    dns.prefetch(*((host, rdtype) for host in queried_hosts for rdtype in ("A", "AAAA")))
    parts = [await or_failure(_addresses(host, dns)) for host in queried_hosts]
    pairs = [
        (host, address)
        for host, part in zip(hosts, parts, strict=False)
        if isinstance(part, tuple)
        for address in part
    ]
    queried = pairs[:MAX_ADDRESSES]
    dns.prefetch(*((_reverse_name(address), "PTR") for _, address in queried))
    lookups = [await or_failure(dns.hosts(_reverse_name(address), "PTR")) for _, address in queried]
    for (_, address), names in zip(queried, lookups, strict=True):
        if isinstance(names, tuple):
            dns.prefetch(*((name, _rdtype(address)) for name in names[:MAX_NAMES]))
    checked = [
        await or_failure(_reverse(*pair, names, dns)) if isinstance(names, tuple) else names
        for pair, names in zip(queried, lookups, strict=True)
    ]
    results = [result for result in checked if isinstance(result, _Reverse)]
    failures = [result for result in (*parts, *checked) if isinstance(result, LookupFailed)]
    left_out = not_queried(
        hosts_not_queried=len(hosts) - MAX_HOSTS, addresses_not_queried=len(pairs) - MAX_ADDRESSES
    )
    facts = {"null_mx": False, "hosts": _worst(results), **left_out}
    return finish(facts, _findings(results), failures, worst=Verdict.WARN)


async def _addresses(host: str, dns: Resolver) -> tuple[str, ...]:
    answers = [await dns.resolve(host, "A"), await dns.resolve(host, "AAAA")]
    return tuple(dict.fromkeys(str(address) for answer in answers for address in answer.rdatas))


def _reverse_name(address: str) -> str:
    """The name of the PTR records of an address (RFC 1035 §3.5, RFC 3596 §2.5)."""
    if ":" in address:
        return ipaddress.ip_address(address).reverse_pointer
    return f"{'.'.join(reversed(address.split('.')))}.in-addr.arpa"


def _rdtype(address: str) -> str:
    return "AAAA" if ":" in address else "A"


async def _reverse(host: str, address: str, names: tuple[str, ...], dns: Resolver) -> _Reverse:
    """The address with the names in its PTR records.

    raises  LookupFailed if no name resolves back to the address and a lookup failed
    """
    if not names:
        return _Reverse(host, address, "none")
    ip = ipaddress.ip_address(address)
    failures = []
    for name in names[:MAX_NAMES]:
        answer = await or_failure(dns.resolve(name, _rdtype(address)))
        if isinstance(answer, LookupFailed):
            failures.append(answer)
        elif any(ipaddress.ip_address(str(rdata)) == ip for rdata in answer.rdatas):
            return _Reverse(host=host, address=address, status="confirmed", names=names)
    if failures:
        raise failures[0]
    return _Reverse(host=host, address=address, status="mismatch", names=names)


def _worst(results: Sequence[_Reverse]) -> dict[str, str]:
    worst: dict[str, Status] = {}
    for reverse in results:
        previous = worst.get(reverse.host, "confirmed")
        worst[reverse.host] = max(previous, reverse.status, key=_BADNESS.index)
    return dict(worst)


def _findings(results: Sequence[_Reverse]) -> list[Finding]:
    """One finding for each address, even if several hosts share it."""
    by_address = {reverse.address: reverse for reverse in reversed(results)}
    return [
        _finding(reverse)
        for reverse in reversed(by_address.values())
        if reverse.status != "confirmed"
    ]


def _finding(reverse: _Reverse) -> Finding:
    name = ipaddress.ip_address(reverse.address).reverse_pointer
    before = "\n".join(f"{name}." for name in reverse.names) or None
    fix = Fix(
        action="replace" if before else "publish",
        name=name,
        type="PTR",
        before=before,
        after=f"{reverse.host}.",
        rollback=f"Set {name}. PTR back to {before}"
        if before
        else f"Remove {name}. PTR {reverse.host}.",
        why="Receivers refuse or distrust mail from an address without a confirmed name. "
        "Ask the owner of the address block to publish it.",
    )
    kind = MISMATCH if before else MISSING
    return kind.at(reverse.address, fix=fix, host=reverse.host, names=list(reverse.names))

"""Whether the name servers of a zone agree: each is queried directly, not through a resolver.

A server that does not answer may only be unreachable from here. This is a fact and not a finding,
and the last observation of the server holds until it answers again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.checks.engine.types import Finding, FindingType, Fix, Outcome, Severity, Subject
from app.ports.dns import LookupFailed, Resolver, ServerAnswer, Soa, or_failure

INCONSISTENT = FindingType(
    code="dns.ns_inconsistent",
    severity=Severity.MEDIUM,
    summary="DNS: name servers disagree, so answers depend on which one is queried",
    observed="The name servers of {subject} gave different answers: {evidence:text}.",
    why="Senders and receivers see different records, depending on which name server their "
    "resolver queries.",
    remediation="Find out why the zone is not transferred to all of its name servers.",
    note="The name servers list different sets of name servers; low where only the serial of the "
    "SOA differs, which means that some serve an older copy of the zone.",
    reference="RFC 1034 §4.2.2",
    flaps=True,
)
NOT_AUTHORITATIVE = FindingType(
    code="dns.ns_not_authoritative",
    severity=Severity.MEDIUM,
    summary="DNS: a listed name server does not serve the zone, so lookups sent to it fail",
    observed="{subject} is listed as a name server of {zone}, but gave no authoritative answer for "
    "it (response code {rcode:text}).",
    why="Lookups that a resolver sends to this name server fail or are delayed until it tries "
    "another one.",
    remediation="Configure the server to serve the zone, or remove its NS record in the zone and "
    "at the registrar.",
    note="It refuses, or answers without authority, while other name servers of the zone do "
    "answer.",
    reference="RFC 1912 §2.8",
    flaps=True,
)
ZONE_LAME = FindingType(
    code="dns.zone_lame",
    severity=Severity.CRITICAL,
    summary="DNS: no name server serves the domain, so it cannot be reached",
    observed="None of the name servers of {subject} answered for it: {servers}.",
    why="Senders cannot find the mail servers of the domain, and receivers cannot evaluate its "
    "SPF, DKIM and DMARC records.",
    remediation="Set up the zone again at the DNS provider, or name the servers of the current "
    "provider at the registrar.",
    note="The parent zone still names the servers, lookups fail, and each server refuses to answer "
    "or answers without authority when it is queried directly.",
    reference="RFC 1912 §2.8",
    flaps=True,
)
FINDING_TYPES = (INCONSISTENT, NOT_AUTHORITATIVE, ZONE_LAME)

MAX_SERVERS_QUERIED = 8
MAX_PARENT_SERVERS = 3


@dataclass(frozen=True, slots=True)
class ServerState:
    """Facts and findings about the servers of one zone, for the dns check."""

    facts: Mapping[str, Any]
    findings: tuple[Finding, ...]


async def check_servers(
    subject: Subject, zone: str, servers: Sequence[str], dns: Resolver
) -> ServerState:
    """Compare the SOA of the zone at its first servers, and its NS records where these differ.

    servers  the host names in the NS records of the zone
    """
    queried = (
        servers[:MAX_SERVERS_QUERIED] if "." in zone else ()
    )  # a TLD is not the customer's to correct
    answers = await _query_servers(zone, "SOA", queried, dns)
    serving = {server: answer for server, answer in answers.items() if _is_serving(answer)}
    # The resolver got an answer. If no server serves the zone to us, something between us and the
    # servers answers in their place.
    trusted = answers if serving else {}
    unseen = [server for server in queried if server not in trusted]
    previous = subject.last_facts.get("dns", {})
    was_lame = previous.get("ns_not_authoritative") or ()
    others = [server for server in queried if server not in serving]
    lame = [server for server in others if server in trusted or server in was_lame]
    differences = await _differences(zone, serving, dns)
    if differences is None or (unseen and not differences):
        differences = previous.get("ns_differences") or {}
    facts = {
        "ns_unresponsive": unseen if serving else [],
        "ns_not_authoritative": lame,
        "ns_differences": differences,
    }
    findings = [_not_authoritative(zone, server, trusted.get(server)) for server in lame]
    if differences:
        # An older serial usually means a transfer in progress; a different set of servers does not.
        severity = None if "ns" in differences else Severity.LOW
        findings.append(INCONSISTENT.at(zone, severity=severity, **differences))
    return ServerState(facts, tuple(findings))


async def zone_lame(subject: Subject, dns: Resolver) -> Outcome | None:
    """The outcome if none of the servers that the last scan saw serves the zone any more.

    For a domain that the resolver cannot look up. A server that does not answer may be down for a
    moment or unreachable from here, so each one must answer; and a server of the parent zone must
    still delegate, which also shows that nothing between us and the servers answers for them.
    """
    previous = subject.last_facts.get("dns", {})
    zone, servers = previous.get("zone", ""), tuple(previous.get("ns") or ())
    if "." not in zone or not servers or len(servers) > MAX_SERVERS_QUERIED:
        return None
    answers = await _query_servers(zone, "SOA", servers, dns)
    if len(answers) < len(servers) or any(map(_is_serving, answers.values())):
        return None
    if not await _is_delegated(zone, dns):
        return None
    facts = {
        "exists": True,
        "zone": zone,
        "ns": list(servers),
        "ns_unresolvable": [],
        "ns_unresponsive": [],
        "ns_not_authoritative": list(servers),
        "ns_differences": {},
    }
    rcodes = {server: answer.rcode for server, answer in answers.items()}
    return Outcome(facts, ZONE_LAME.at(zone, servers=rcodes))


async def _is_delegated(zone: str, dns: Resolver) -> bool:
    """Whether a server of the parent zone refers to other servers for the zone."""
    parent = zone.partition(".")[2]
    hosts = sorted(await dns.hosts(parent, "NS"))[:MAX_PARENT_SERVERS]
    answers = await _query_servers(zone, "NS", hosts, dns)
    return any(
        answer.rcode == "NOERROR" and not answer.authoritative for answer in answers.values()
    )


async def _query_servers(
    zone: str, rdtype: str, servers: Sequence[str], dns: Resolver
) -> dict[str, ServerAnswer]:
    """The answers of the servers that answer, by server."""
    queries = [or_failure(dns.query_server(server, zone, rdtype)) for server in servers]
    answers = await asyncio.gather(*queries)
    return {answer.server: answer for answer in answers if not isinstance(answer, LookupFailed)}


def _is_serving(answer: ServerAnswer) -> bool:
    return answer.rcode == "NOERROR" and answer.authoritative and bool(answer.rdatas)


async def _differences(
    zone: str, serving: Mapping[str, ServerAnswer], dns: Resolver
) -> dict[str, dict[str, str]] | None:
    """The differences by server: ``ns`` (sets), or else ``serial`` (of the same primary).

    Servers of several operators may each have their own serials: those are not compared.

    returns  None if no difference is visible, but not all servers could be queried
    """
    soas = {
        server: soa
        for server, answer in serving.items()
        if isinstance(soa := answer.rdatas[0], Soa)
    }
    if len(set(soas.values())) < 2:
        return {}
    answers = await _query_servers(zone, "NS", list(soas), dns)
    sets = {
        server: " ".join(sorted(map(str, answer.rdatas)))
        for server, answer in answers.items()
        if _is_serving(answer)
    }
    if len(set(sets.values())) > 1:
        return {"ns": sets}
    if len(sets) < len(soas):
        return None
    if len({soa.mname for soa in soas.values()}) == 1:
        return {"serial": {server: str(soa.serial) for server, soa in soas.items()}}
    return {}


def _not_authoritative(zone: str, server: str, answer: ServerAnswer | None) -> Finding:
    fix = Fix(
        action="remove",
        name=zone,
        type="NS",
        before=f"{server}.",
        after=None,
        rollback=f"Add {zone}. NS {server}. again, in the zone and at the registrar.",
        why="Resolvers that pick this server get no answer. Remove it, or let it serve the zone.",
    )
    return NOT_AUTHORITATIVE.at(server, fix=fix, zone=zone, rcode=answer and answer.rcode)

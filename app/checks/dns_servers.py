"""Whether a zone's name servers say the same: each is asked itself, which no resolver would show.

A server that does not answer may be out of our reach only. It is told of as a fact, no more; and
what was last seen of it stands until it is seen again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.checks.answers import Answers, ServerAnswer, Soa, Undetermined, or_unseen
from app.checks.contract import Finding, Fix, Kind, Severity, Subject

INCONSISTENT = Kind(
    "dns.ns_inconsistent",
    Severity.MEDIUM,
    "DNS: name servers disagree, so answers depend on which one is queried",
    "RFC 1034 §4.2.2",
    flaps=True,
)
NOT_AUTHORITATIVE = Kind(
    "dns.ns_not_authoritative",
    Severity.MEDIUM,
    "DNS: a listed name server does not serve the zone, so lookups sent to it fail",
    "RFC 1912 §2.8",
    flaps=True,
)
KINDS = (INCONSISTENT, NOT_AUTHORITATIVE)

MAX_ASKED = 8


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one zone's servers: facts of the dns check, and findings."""

    facts: Mapping[str, Any]
    findings: tuple[Finding, ...]


async def examine(subject: Subject, zone: str, servers: Sequence[str], dns: Answers) -> Seen:
    """Compare what the first servers say of the zone's SOA, and if they differ of its NS.

    servers  the names in the zone's NS records
    """
    asked = servers[:MAX_ASKED] if "." in zone else ()  # a TLD is nobody's whose domain we watch
    said = await _ask(zone, "SOA", asked, dns)
    serving = {server: one for server, one in said.items() if _is_serving(one)}
    seen = said if serving else {}  # a resolver was answered: who answers us must be somebody else
    unseen = [server for server in asked if server not in seen]
    known = subject.known.get("dns", {})
    was_lame = known.get("ns_not_authoritative") or ()
    others = [server for server in asked if server not in serving]
    lame = [server for server in others if server in seen or server in was_lame]
    differences = await _differences(zone, serving, dns)
    if differences is None or (unseen and not differences):
        differences = known.get("ns_differences") or {}
    facts = {
        "ns_unresponsive": unseen if serving else [],
        "ns_not_authoritative": lame,
        "ns_differences": differences,
    }
    findings = [_not_authoritative(zone, server, seen.get(server)) for server in lame]
    if differences:
        # A serial that is behind is mostly on its way; another set of servers is not.
        severity = None if "ns" in differences else Severity.LOW
        findings.append(INCONSISTENT.at(zone, severity=severity, **differences))
    return Seen(facts, tuple(findings))


async def _ask(
    zone: str, rdtype: str, servers: Sequence[str], dns: Answers
) -> dict[str, ServerAnswer]:
    """What those say that say anything."""
    asked = [or_unseen(dns.ask_server(server, zone, rdtype)) for server in servers]
    said = await asyncio.gather(*asked)
    return {one.server: one for one in said if not isinstance(one, Undetermined)}


def _is_serving(said: ServerAnswer) -> bool:
    return said.rcode == "NOERROR" and said.authoritative and bool(said.rdatas)


async def _differences(
    zone: str, serving: Mapping[str, ServerAnswer], dns: Answers
) -> dict[str, dict[str, str]] | None:
    """What differs, by server: ``ns`` (sets), or else ``serial`` (of the same primary).

    Servers of several operators may each have serials of their own: those are not compared.

    returns  None if nothing is seen to differ, but not all could be asked
    """
    soas = {server: soa for server, one in serving.items() if isinstance(soa := one.rdatas[0], Soa)}
    if len(set(soas.values())) < 2:
        return {}
    answers = await _ask(zone, "NS", list(soas), dns)
    sets = {
        server: " ".join(sorted(map(str, one.rdatas)))
        for server, one in answers.items()
        if _is_serving(one)
    }
    if len(set(sets.values())) > 1:
        return {"ns": sets}
    if len(sets) < len(soas):
        return None
    if len({soa.mname for soa in soas.values()}) == 1:
        return {"serial": {server: str(soa.serial) for server, soa in soas.items()}}
    return {}


def _not_authoritative(zone: str, server: str, said: ServerAnswer | None) -> Finding:
    fix = Fix(
        "remove", zone, "NS", f"{server}.", None,
        rollback=f"Add {zone}. NS {server}. again, in the zone and at the registrar.",
        why="Resolvers that pick this server get nothing; remove it, or have it serve the zone.",
    )  # fmt: skip
    return NOT_AUTHORITATIVE.at(server, fix=fix, zone=zone, rcode=said and said.rcode)

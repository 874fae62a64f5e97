"""Whether the domain exists, its name servers serve it, and its aliases resolve."""

from collections.abc import Sequence

from app.checks.dns import servers as dns_servers
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
from app.ports.dns import Answer, LookupFailed, Resolver, or_failure
from app.protocols import public_suffix

NOT_FOUND = FindingType(
    code="dns.domain_not_found",
    severity=Severity.CRITICAL,
    summary="Domain does not exist in DNS (expired or mistyped?)",
    observed="DNS answers that {subject} does not exist (NXDOMAIN).",
    why="The domain cannot receive mail, and receivers reject mail that is sent from it.",
    remediation="Renew the registration, or restore the delegation at the registrar.",
    note="DNS answers NXDOMAIN for the domain.",
    reference="RFC 1035 §4.1.1",
)
INDETERMINATE = FindingType(
    code="dns.lookup_indeterminate",
    severity=Severity.INFO,
    summary="DNS: lookups of this domain fail (SERVFAIL), so it cannot be reached",
    observed="The lookup of {asked} failed: {reason:text}.",
    why="Senders cannot find the mail servers of the domain, and receivers cannot evaluate its "
    "SPF, DKIM and DMARC records.",
    remediation="Check that the name servers of the zone answer, and that the DNSSEC signatures "
    "are valid (see `dnssec.bogus`).",
    note="The resolver answers SERVFAIL for the NS and SOA records; no alert opens or closes "
    "because of it.",
    reference="RFC 2308 §7",
    verdict=Verdict.FAIL,
)
LAME = FindingType(
    code="dns.delegation_lame",
    severity=Severity.MEDIUM,
    summary="DNS: a name server has no address, so lookups sent to it fail",
    observed="{subject} is a name server of {zone}, but DNS has no address for it (response code "
    "{rcode:text}).",
    why="Lookups that a resolver sends to this name server fail or are delayed until it tries "
    "another one.",
    remediation="Give the host an address, or remove its NS record in the zone and at the "
    "registrar.",
    note="The host that an NS record names has neither an A nor an AAAA record.",
    reference="RFC 1912 §2.8",
    flaps=True,
)
TAKEOVER = FindingType(
    code="dns.ns_takeover_risk",
    severity=Severity.CRITICAL,
    summary="DNS name server points to an unregistered domain (takeover risk)",
    observed="{subject} is a name server of {zone}, but its own domain is not registered (response "
    "code {rcode:text}).",
    why="Anyone who registers the domain of that name server can answer DNS queries for yours.",
    remediation="Remove the NS record immediately, in the zone and at the registrar.",
    reference="RFC 1912 §2.8",
)
SINGLE = FindingType(
    code="dns.ns_single",
    severity=Severity.MEDIUM,
    summary="DNS: only one name server, so a single failure takes the domain offline",
    observed="The NS records of {subject} list one name server: {servers}.",
    why="If this name server fails, no record of the domain can be looked up.",
    remediation="Add a second name server in another network.",
    reference="RFC 2182 §5",
)
NS_ALIAS = FindingType(
    code="dns.ns_points_to_cname",
    severity=Severity.LOW,
    summary="DNS: an NS record points to an alias (CNAME), which some resolvers do not follow",
    observed="{subject}, a name server of {zone}, is an alias of {target}. An NS record must name "
    "a host with its own address.",
    why="Resolvers that do not follow the alias treat the name server as missing.",
    remediation="Name the canonical host in the NS record.",
    note="An NS record must name a host that has addresses itself.",
    reference="RFC 2181 §10.3",
)
ALIAS_AT_APEX = FindingType(
    code="dns.cname_at_record",
    severity=Severity.MEDIUM,
    summary="DNS: CNAME at the zone apex, which hides other records from some resolvers",
    observed="{subject} has a CNAME record that points to {target}.",
    why="The top of a zone must hold SOA and NS records, and a CNAME there hides its MX and TXT "
    "records.",
    remediation="Replace the CNAME with A and AAAA records, or with the ALIAS record of your DNS "
    "provider.",
    reference="RFC 1034 §3.6.2",
)
DANGLING = FindingType(
    code="dns.dangling_cname",
    severity=Severity.HIGH,
    summary="DNS: CNAME points to a name that does not exist",
    observed="{subject} has a CNAME record. It leads to {chain:path}, which does not exist.",
    why="Lookups that follow the alias end without an answer, and the records that were meant to "
    "be there are missing.",
    remediation="Remove the CNAME, or restore its target.",
    note="Checked at the domain and at its mail names; critical if anyone can register the "
    "domain of the target.",
    reference="RFC 1034 §3.6.2",
)
OVER_UDP = FindingType(
    code="dns.answer_over_udp",
    severity=Severity.LOW,
    summary="DNS: TXT records do not fit into one UDP response, so lookups need TCP",
    observed="The {records} TXT records of {subject} need a response of {octets:count} bytes. "
    "Responses over UDP should have at most {limit:count} bytes.",
    why="Clients must repeat the query over TCP, and receivers behind a firewall that blocks DNS "
    "over TCP get no answer.",
    remediation="Remove TXT records that are no longer needed.",
    note="The TXT response of the domain exceeds 1232 octets.",
    reference="RFC 7208 §3.4",
)

UDP_OCTETS = 1232  # the EDNS size of most resolvers; larger answers need a second query by TCP
MAX_SERVERS = 20  # of one zone: a delegation may list hundreds
MAIL_NAMES = (
    "_dmarc",
    "_mta-sts",
    "mta-sts",
    "_smtp._tls",
)  # names that are often aliases to providers


@check(
    "dns",
    finds=(
        *(NOT_FOUND, INDETERMINATE, LAME, TAKEOVER, SINGLE, NS_ALIAS),
        *(ALIAS_AT_APEX, DANGLING, OVER_UDP, *dns_servers.FINDING_TYPES),
    ),
    logic_version=3,
)
async def dns(subject: Subject, dns: Resolver) -> Outcome:
    """Check that the domain exists, its name servers have addresses, and its aliases resolve.

    facts  exists, zone, ns, ns_unresolvable, ns_unresponsive, ns_not_authoritative, ns_differences,
           ns_not_queried (how many beyond 20, if any); or only servfail: true, not definite
    """
    domain = subject.domain
    try:
        own = await dns.resolve(domain, "NS")
        if not own.exists and not own.aliases:
            return Outcome({"exists": False}, NOT_FOUND.at(domain))
        zone, servers = await _delegation(own, dns)
    except LookupFailed as error:
        if error.reason != "servfail" or error.name != domain or await _answers(domain, dns):
            raise
        lame = await or_failure(dns_servers.zone_lame(subject, dns))
        if isinstance(lame, Outcome):
            return lame
        finding = INDETERMINATE.at(
            domain, asked=f"{error.name} {error.rdtype}", reason=error.reason
        )
        return Outcome({"servfail": True}, finding, definite=False)
    return await _delegated(subject, zone, servers, dns)


async def _answers(domain: str, dns: Resolver) -> bool:
    """Whether there is an answer to another query, so that the domain can be reached."""
    return not isinstance(await or_failure(dns.resolve(domain, "SOA")), LookupFailed)


async def _delegated(
    subject: Subject, zone: str, servers: tuple[str, ...], dns: Resolver
) -> Outcome:
    """Check the name servers, aliases and apex of a domain that exists."""
    domain, queried = subject.domain, servers[:MAX_SERVERS]
    await _prefetch(domain, queried, dns)
    parts = [
        *[await or_failure(_server(zone, host, dns)) for host in queried],
        *[await or_failure(_alias(name, dns)) for name in _aliased(domain)],
        await or_failure(_apex(domain, zone, dns)),
        await or_failure(_size(domain, dns)),
    ]
    server_report = await dns_servers.check_servers(subject, zone, queried, dns)
    findings = [finding for part in parts if isinstance(part, tuple) for finding in part]
    findings += server_report.findings
    if len(servers) == 1:
        findings.append(SINGLE.at(zone, servers=list(servers)))
    unresolvable = sorted(f.subject for f in findings if f.kind in (LAME, TAKEOVER))
    facts = {
        "exists": True,
        "zone": zone,
        "ns": list(servers),
        "ns_unresolvable": unresolvable,
        **server_report.facts,
        **not_queried(ns_not_queried=len(servers) - MAX_SERVERS),
    }
    return finish(facts, findings, [part for part in parts if isinstance(part, LookupFailed)])


async def _prefetch(domain: str, servers: Sequence[str], dns: Resolver) -> None:
    """Send the queries in advance; AAAA only of name servers without an A record."""
    dns.prefetch((domain, "CNAME"), (domain, "TXT"), *((name, "A") for name in _aliased(domain)))
    dns.prefetch(*((host, "A") for host in servers))
    for host in servers:
        if not _has_address(await or_failure(dns.resolve(host, "A"))):
            dns.prefetch((host, "AAAA"))


def _has_address(answer: Answer | LookupFailed) -> bool:
    return isinstance(answer, Answer) and bool(answer.rdatas)


async def _delegation(own: Answer, dns: Resolver) -> tuple[str, tuple[str, ...]]:
    """The zone of the name and its name servers, sorted; none if there is no zone up to the TLD."""
    zone, answer = own.name, own
    while answer.aliases or not answer.rdatas:
        zone = zone.partition(".")[2]
        if not zone:
            return own.name, ()
        answer = await dns.resolve(zone, "NS")
    return zone, tuple(sorted({str(host) for host in answer.rdatas}))


async def _server(zone: str, host: str, dns: Resolver) -> tuple[Finding, ...]:
    """Findings about the name of one name server; an address of either family is enough."""
    answers = [await or_failure(dns.resolve(host, "A"))]
    if not _has_address(answers[0]):
        answers.append(await or_failure(dns.resolve(host, "AAAA")))
    definite = [answer for answer in answers if isinstance(answer, Answer)]
    if any(answer.rdatas for answer in definite):
        target = next((answer.aliases[-1] for answer in definite if answer.aliases), None)
        return () if target is None else (_server_alias(zone, host, target),)
    for answer in answers:
        if isinstance(answer, LookupFailed):
            raise answer
    kind = TAKEOVER if await _is_free(host, dns) else LAME
    fix = Fix(
        action="remove",
        name=zone,
        type="NS",
        before=f"{host}.",
        after=None,
        rollback=f"Add {zone}. NS {host}. again, in the zone and at the registrar.",
        why="Resolvers that pick this server get no answer. Give it an address, or remove it.",
    )
    return (kind.at(host, fix=fix, zone=zone, rcode=definite[0].rcode),)


def _server_alias(zone: str, host: str, target: str) -> Finding:
    fix = Fix(
        action="replace",
        name=zone,
        type="NS",
        before=f"{host}.",
        after=f"{target}.",
        rollback=f"Set {zone}. NS back to {host}.",
        why="Some resolvers do not follow an alias here. Name the canonical host.",
    )
    return NS_ALIAS.at(host, fix=fix, zone=zone, target=target)


async def _alias(name: str, dns: Resolver) -> tuple[Finding, ...]:
    """A finding if the name is an alias to a name that does not exist."""
    answer = await dns.resolve(name, "A")
    if answer.exists or not answer.aliases:
        return ()
    target = answer.aliases[-1]
    is_free = await _is_free(target, dns)
    fix = Fix(
        action="remove",
        name=name,
        type="CNAME",
        before=f"{answer.aliases[0]}.",
        after=None,
        rollback=f"Publish {name}. CNAME {answer.aliases[0]}. again.",
        why="The owner of the target controls your name. Remove the alias, or restore its target.",
    )
    severity = Severity.CRITICAL if is_free else None
    evidence = {"chain": list(answer.aliases), "target_registrable": is_free}
    return (DANGLING.at(name, fix=fix, severity=severity, **evidence),)


async def _is_free(host: str, dns: Resolver) -> bool:
    """Whether the domain of a host that does not resolve can be registered."""
    registered = public_suffix.registrable(host)
    return registered is not None and not (await dns.resolve(registered, "NS")).exists


async def _apex(domain: str, zone: str, dns: Resolver) -> tuple[Finding, ...]:
    """A finding if there is an alias at the apex of a zone, where SOA and NS records must be.

    A resolver follows the alias, so the other records are inferred: a registered name has them.
    """
    if domain not in (zone, public_suffix.registrable(domain)):
        return ()
    targets = await dns.hosts(domain, "CNAME")
    if not targets:
        return ()
    return (ALIAS_AT_APEX.at(domain, target=targets[0]),)


async def _size(domain: str, dns: Resolver) -> tuple[Finding, ...]:
    """A finding if the TXT answer is too large for UDP; its size on the wire (RFC 1035 §4.1)."""
    texts = [text.encode() for text in await dns.txt(domain)]
    strings = sum(len(text) + max(1, -(-len(text) // 255)) for text in texts)
    octets = 12 + len(domain) + 2 + 4 + 12 * len(texts) + strings
    if octets <= UDP_OCTETS:
        return ()
    return (OVER_UDP.at(domain, octets=octets, limit=UDP_OCTETS, records=len(texts)),)


def _aliased(domain: str) -> tuple[str, ...]:
    return (domain, *(f"{label}.{domain}" for label in MAIL_NAMES))

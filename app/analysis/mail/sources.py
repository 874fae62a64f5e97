"""The sources that send as a domain: addresses grouped into services, with the evidence.

An address is attributed by the strongest evidence: the domain's SPF record, an envelope domain for
which SPF passes, its confirmed reverse name, a DKIM signature, the owner of its network. A
signature ranks last among the evidence that names a service, because it survives forwarding.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from app.analysis.mail import alignment
from app.analysis.mail.classification import Clue, SourceClass, SourceClassification, classify
from app.analysis.mail.identities import Identity
from app.analysis.mail.spf_paths import SpfPaths, Term
from app.analysis.mail.totals import Totals
from app.catalog import senders
from app.catalog.senders import Sender

Confidence = Literal["high", "medium", "low", "none"]
ELSEWHERE = ""  # the address of flows that are not tracked by address


class Flow(NamedTuple):
    """Messages from one address with one identity."""

    source_ip: str
    identity: int
    messages: int
    first_hour: int
    last_hour: int


class Host(NamedTuple):
    """The known properties of an address.

    name  its reverse name, if it resolves back to the address
    """

    name: str | None = None
    asn: int | None = None
    network: str | None = None
    country: str | None = None


UNKNOWN_SERVICE = Host()


@dataclass(frozen=True, slots=True)
class Service:
    """The owner of an address, with the evidence.

    key  stable key: ``service:…``, ``own``, ``domain:…``, ``as:…`` or ``ip:…``
    """

    key: str
    name: str
    confidence: Confidence
    evidence: str
    sender: Sender | None = None
    term: str | None = None  # of the SPF record that authorizes the address


@dataclass(frozen=True, slots=True)
class SourceReview:
    """The manual classification of a source: approved, ignored or blocked."""

    decision: str
    note: str | None
    actor: str


@dataclass(slots=True, kw_only=True)
class Source(Totals):
    """A service that sends as the domain, with the totals of its mail.

    key          key of the service; with ``/forwarding`` for mail that it forwarded
    kind         own, forwarder, suspicious or unknown, for the given ``reason``
    first_hour   hour of the first message ever; ``last_hour``: of the last
    identities   messages by identity
    flows        messages by identity and address
    """

    key: str
    service: Service
    kind: SourceClass = SourceClass.UNKNOWN
    reason: str = ""
    review: SourceReview | None = None
    first_hour: int = 2**31
    last_hour: int = 0
    addresses: Counter[str] = field(default_factory=Counter)
    has_more_addresses: bool = False
    header_from: Counter[str] = field(default_factory=Counter)
    countries: Counter[str] = field(default_factory=Counter)
    reasons: Counter[SourceClassification] = field(default_factory=Counter)
    identities: Counter[int] = field(default_factory=Counter)
    flows: dict[int, list[Flow]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """The information about the domain that does not come from reports.

    org_domain  the domain's Organizational Domain by the tree walk of its last scan
    selectors  the facts of the last scan about DKIM selectors, by selector
    reviews     manual classifications by source key
    """

    domain: str
    org_domain: str | None = None
    spf: SpfPaths | None = None
    selectors: Mapping[str, Any] = field(default_factory=dict)
    hosts: Mapping[str, Host] = field(default_factory=dict)
    reviews: Mapping[str, SourceReview] = field(default_factory=dict)


def gather(
    flows: Iterable[Flow], identities: Mapping[int, Identity], context: Context
) -> list[Source]:
    """Return the sources, most messages first.

    flows  one for each address and identity; those from ELSEWHERE are attributed by identity only
    """
    clues = {number: clue(identity, context.org_domain) for number, identity in identities.items()}
    by_address: dict[str, list[Flow]] = {}
    for flow in flows:  # thousands: each step counts
        address = flow[0]
        if address in by_address:
            by_address[address].append(flow)
        else:
            by_address[address] = [flow]
    gathered, attribution = _Gathered({}, {}), _Attribution(context, clues)
    for flow in by_address.pop(ELSEWHERE, ()):  # each identity is attributed by itself
        gathered.add(attribution.of_identities(ELSEWHERE, [flow]), [flow], clues)
    for address, address_flows in by_address.items():
        gathered.add(attribution.of_address(address, address_flows), address_flows, clues)
    sources = gathered.sources()
    for source in sources:
        _build_source(source, context)
    return sorted(sources, key=lambda source: (-source.messages, source.key))


class _Attribution:
    """Attributes addresses to services, by terms and combinations of identities seen before."""

    def __init__(self, context: Context, clues: Mapping[int, Clue]) -> None:
        self._authorizing = context.spf.authorizing if context.spf else _nothing
        self._hosts, self._clues = context.hosts, clues
        self._by_term: dict[int, Service] = {}
        self._by_numbers: dict[tuple[int, ...], tuple[Service | None, Service | None]] = {}

    def of_address(self, address: str, flows: Sequence[Flow]) -> Service:
        """Return the service that sends from the address."""
        if terms := self._authorizing(address):
            term = terms[0]
            service = self._by_term.get(id(term))  # a term has a slow hash
            if service is None:
                service = self._by_term[id(term)] = _by_term(term)
            return service
        return self.of_identities(address, flows, self._hosts.get(address, UNKNOWN_SERVICE))

    def of_identities(
        self, address: str, flows: Sequence[Flow], host: Host = UNKNOWN_SERVICE
    ) -> Service:
        """Return the service by the strongest evidence of identities, reverse name and network."""
        numbers = tuple([flow[1] for flow in flows])
        services = self._by_numbers.get(numbers)
        if services is None:
            clues = [self._clues[number] for number in numbers]
            services = self._by_numbers[numbers] = (_by_envelope(clues), _by_signature(clues))
        stronger, weaker = services
        return stronger or _by_known_host(host) or weaker or _by_host(address, host)


def _nothing(_address: str) -> tuple[Term, ...]:
    return ()


def clue(identity: Identity, org_domain: str | None = None) -> Clue:
    """Return the authentication evidence of an identity."""
    author = identity.header_from
    own_domain = alignment.organizational(author, org_domain)
    spf = next((result[0] for result in identity.spf_results if result[2] == "pass"), None)
    is_own_envelope = any(
        alignment.organizational(result[0], org_domain) == own_domain
        for result in identity.spf_results
    )
    signers = [result[0] for result in identity.dkim_results if result[2] == "pass"]
    own = [name for name in signers if alignment.organizational(name, org_domain) == own_domain]
    others = [name for name in signers if name not in own]
    is_broken = any(
        result[2] != "pass" and alignment.organizational(result[0], org_domain) == own_domain
        for result in identity.dkim_results
    )
    return Clue(
        identity=identity,
        spf_domain=spf if spf and alignment.organizational(spf, org_domain) != own_domain else None,
        is_own_envelope=is_own_envelope,
        is_own_spf=bool(spf) and alignment.organizational(spf or "", org_domain) == own_domain,
        is_own_signed=bool(own),
        is_own_broken=is_broken and not own,
        signer=max(others, key=lambda name: senders.of(name) is not None, default=None),
    )


def _by_term(term: Term) -> Service:
    if term.domain is None:
        why = f"Your SPF record authorizes the address by {term.text}"
        return Service(
            key="own", name="Own servers", confidence="high", evidence=why, term=term.text
        )
    why = f"Your SPF record authorizes the address by {term.text}"
    sender = senders.of(term.domain)
    if sender:
        return Service(
            key=f"service:{sender.name}",
            name=sender.name,
            confidence="high",
            evidence=why,
            sender=sender,
            term=term.text,
        )
    name = alignment.organizational(term.domain)
    return Service(key=f"domain:{name}", name=name, confidence="high", evidence=why, term=term.text)


def _by_envelope(clues: Iterable[Clue]) -> Service | None:
    """The well-known service for whose domain SPF passes."""
    names = (clue.spf_domain for clue in clues if clue.spf_domain)
    services = (_well_known(name, "high", f"SPF passes for {name}") for name in names)
    return next(filter(None, services), None)


def _by_known_host(host: Host) -> Service | None:
    """The well-known service with the reverse name."""
    if not host.name:
        return None
    why = f"The reverse DNS name of the address is {host.name}"
    return _well_known(host.name, "medium", why)


def _by_signature(clues: Sequence[Clue]) -> Service | None:
    """The well-known service that signs, or else the domain for which SPF passes."""
    for clue in clues:
        if clue.signer and not clue.spf_domain:
            why = f"DKIM signatures of {clue.signer} are valid"
            if service := _well_known(clue.signer, "medium", why):
                return service
    if any(clue.is_own_spf for clue in clues):
        return Service(
            key="own",
            name="Own servers",
            confidence="medium",
            evidence="SPF passes for your domain",
        )
    for clue in clues:
        if clue.spf_domain:
            name = alignment.organizational(clue.spf_domain)
            return Service(
                key=f"domain:{name}",
                name=name,
                confidence="medium",
                evidence=f"SPF passes for {clue.spf_domain}",
            )
    return None


def _well_known(name: str, confidence: Confidence, why: str) -> Service | None:
    """The well-known service that uses the name."""
    sender = senders.of(name)
    if sender is None:
        return None
    return Service(
        key=f"service:{sender.name}",
        name=sender.name,
        confidence=confidence,
        evidence=why,
        sender=sender,
    )


def _by_host(address: str, host: Host) -> Service:
    if host.name:
        name = alignment.organizational(host.name)
        return Service(
            key=f"domain:{name}",
            name=name,
            confidence="low",
            evidence=f"The reverse DNS name of the address is {host.name}",
        )
    if host.asn is not None:
        name = host.network or f"AS{host.asn}"
        return Service(
            key=f"as:{host.asn}",
            name=name,
            confidence="low",
            evidence=f"The address belongs to network AS{host.asn}",
        )
    if address == ELSEWHERE:
        why = "These addresses sent too few messages to be listed separately"
        return Service(key="elsewhere", name="Many addresses", confidence="none", evidence=why)
    return Service(
        key=f"ip:{address}", name=address, confidence="none", evidence="Only the address is known"
    )


class _Part(NamedTuple):
    """The mail of a source with one identity, classified once for all of its addresses."""

    source: Source
    identity: Identity
    classification: SourceClassification
    flows: list[Flow]


class _Gathered(NamedTuple):
    """The mail of all services.

    parts  by service key and whether SPF authorizes the address, and by identity
    """

    by_key: dict[str, Source]
    parts: dict[tuple[str, bool], dict[int, _Part]]

    def add(self, service: Service, flows: Iterable[Flow], clues: Mapping[int, Clue]) -> None:
        is_listed = service.term is not None
        parts = self.parts.get((service.key, is_listed))
        if parts is None:
            parts = self.parts[service.key, is_listed] = {}
        for flow in flows:
            part = parts.get(flow[1])
            if part is None:
                clue = clues[flow[1]]
                classification = classify(clue, service.sender, is_listed=is_listed)
                suffix = "/forwarding" if classification.kind is SourceClass.FORWARDER else ""
                key = f"{service.key}{suffix}"
                source = self.by_key.setdefault(key, Source(key=key, service=service))
                part = parts[flow[1]] = _Part(
                    source=source, identity=clue.identity, classification=classification, flows=[]
                )
            part.flows.append(flow)

    def sources(self) -> list[Source]:
        for parts in self.parts.values():
            for part in parts.values():
                _add(part)
        return list(self.by_key.values())


def _add(part: _Part) -> None:
    source, identity, flows = part.source, part.identity, part.flows
    addresses, count = source.addresses, 0
    for address, _, messages, _, _ in flows:  # thousands of flows: a Counter is slower
        addresses[address] = addresses.get(address, 0) + messages
        count += messages
    source.add(count, dkim=identity.dkim, spf=identity.spf)
    source.first_hour = min(source.first_hour, min([flow[3] for flow in flows]))
    source.last_hour = max(source.last_hour, max([flow[4] for flow in flows]))
    source.reasons[part.classification] += count
    source.header_from[identity.header_from] += count
    number = flows[0].identity
    source.identities[number] += count
    source.flows.setdefault(number, []).extend(flows)


def _build_source(source: Source, context: Context) -> None:
    """Set the classification: that of most messages, unless there is a manual one."""
    classification, _ = source.reasons.most_common(1)[0]
    source.kind, source.reason = classification.kind, classification.reason
    source.has_more_addresses = source.addresses.pop(ELSEWHERE, 0) > 0
    for address, count in source.addresses.items():
        host = context.hosts.get(address)
        if host and host.country:
            source.countries[host.country] += count
    keys = (source.key, *(f"ip:{address}" for address in source.addresses))
    source.review = next((context.reviews[key] for key in keys if key in context.reviews), None)
    if source.review and source.review.decision == "approved":
        source.kind, source.reason = SourceClass.OWN, "Approved manually"
    elif source.review and source.review.decision == "blocked":
        source.kind, source.reason = SourceClass.SUSPICIOUS, "Blocked manually"

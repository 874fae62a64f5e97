"""Sources, selectors and subdomains with their largest parts and the records behind each figure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from app.analysis.mail import unused
from app.analysis.mail.classification import SourceClassification
from app.analysis.mail.flow_index import FAILED, FlowIndex, RecordLink, dkim_filter
from app.analysis.mail.identities import Identity
from app.analysis.mail.periods import at
from app.analysis.mail.record_filter import MAX_ADDRESSES
from app.analysis.mail.sources import UNKNOWN_SERVICE, Context, Host, Source
from app.analysis.mail.unused import SelectorUse, Subdomain, TermUse

MAX_LISTED = 100  # selectors, and subdomains

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Linked(Generic[T]):
    """A figure with the record list behind it."""

    figure: T
    records: RecordLink


@dataclass(frozen=True, slots=True)
class AddressCount:
    """The messages of a source from one address."""

    address: str
    messages: int
    host: Host


@dataclass(frozen=True, slots=True)
class DkimCount:
    """The messages of a source with one DKIM result, as reported."""

    domain: str
    selector: str
    result: str
    messages: int


@dataclass(frozen=True, slots=True)
class SpfCount:
    """The messages of a source with one SPF result, as reported."""

    domain: str
    result: str
    messages: int


@dataclass(frozen=True, slots=True)
class HeaderFromCount:
    """The messages from one domain in the From header."""

    name: str
    messages: int


@dataclass(frozen=True, slots=True)
class SourceDetail:
    """A source with its largest parts; each sequence has the most messages first."""

    source: Source
    records: RecordLink
    failed_records: RecordLink
    reasons: Sequence[tuple[SourceClassification, int]]
    addresses: Sequence[Linked[AddressCount]]
    dkim_results: Sequence[Linked[DkimCount]]
    spf_results: Sequence[Linked[SpfCount]]
    header_from: Sequence[Linked[HeaderFromCount]]
    countries: Mapping[str, int]

    @property
    def first_at(self) -> datetime:
        """The time of the first message."""
        return at(self.source.first_hour)

    @property
    def last_at(self) -> datetime:
        """The time of the last message."""
        return at(self.source.last_hour)

    @property
    def is_listed_by_address(self) -> bool:
        """Whether the records are only listed by address, so that others may be among them."""
        return bool(self.source.addresses) and not self.records.is_exact

    @property
    def has_shared_addresses(self) -> bool:
        """Whether some of the addresses also sent for other sources."""
        return self.is_listed_by_address and len(self.source.addresses) <= MAX_ADDRESSES


@dataclass(frozen=True, slots=True)
class SourceTotals:
    """The sums of sources that are not listed one by one."""

    sources: int
    messages: int
    passed: int


@dataclass(frozen=True, slots=True)
class PublishedUse:
    """The use of the published SPF terms and DKIM selectors, and the subdomains that send.

    unused_terms, unused_selectors  published, but without messages; empty without reports
    selectors                       the most used first, at most MAX_LISTED
    subdomains                      the most messages first, at most MAX_LISTED
    """

    unused_terms: Sequence[TermUse]
    unused_selectors: Sequence[Linked[SelectorUse]]
    selectors: Sequence[Linked[SelectorUse]]
    subdomains: Sequence[Linked[Subdomain]]


def source_detail(
    source: Source, index: FlowIndex, hosts: Mapping[str, Host], max_parts: int
) -> SourceDetail:
    """Return the source with at most ``max_parts`` of its parts of each kind."""
    return SourceDetail(
        source=source,
        records=index.of_source(source),
        failed_records=index.of_part(source, FAILED),
        reasons=source.reasons.most_common(),
        addresses=[
            Linked(
                AddressCount(address, messages, hosts.get(address, UNKNOWN_SERVICE)),
                index.of_mail({address: messages}),
            )
            for address, messages in source.addresses.most_common(max_parts)
        ],
        dkim_results=[
            Linked(DkimCount(*result, messages), records)
            for result, messages, records in index.signers(source, max_parts)
        ],
        spf_results=[
            Linked(SpfCount(*result, messages), records)
            for result, messages, records in index.envelopes(source, max_parts)
        ],
        header_from=[
            Linked(HeaderFromCount(name, messages), records)
            for name, messages, records in index.authors(source, max_parts)
        ],
        countries=dict(source.countries.most_common(max_parts)),
    )


def totals(sources: Iterable[Source]) -> SourceTotals:
    """Return the sums of the sources."""
    listed = list(sources)
    return SourceTotals(
        sources=len(listed),
        messages=sum(source.messages for source in listed),
        passed=sum(source.passed for source in listed),
    )


def published_use(
    context: Context,
    sources: Sequence[Source],
    identities: Mapping[int, Identity],
    days: int,
    index: FlowIndex,
) -> PublishedUse:
    """Return the use of what the domain publishes, with the records behind each figure.

    days  the number of days with reports
    """
    domain = context.domain
    selectors = [
        Linked(use, index.all_records(dkim_filter(domain, use.selector, None)))
        for use in unused.selectors(domain, identities, sources, context.selectors)
    ]
    terms = unused.terms(context.spf, sources, identities, days)
    subdomains = [
        Linked(subdomain, index.part(subdomain.messages, index.author(subdomain.name)))
        for subdomain in unused.subdomains(domain, sources, identities)[:MAX_LISTED]
    ]
    has_reports = days > 0
    return PublishedUse(
        unused_terms=[use for use in terms if has_reports and not use.messages],
        unused_selectors=[
            linked
            for linked in selectors
            if has_reports and not linked.figure.messages and linked.figure.is_published
        ],
        selectors=selectors[:MAX_LISTED],
        subdomains=subdomains,
    )

"""An index of a domain's mail that finds the record lists behind figures.

A record list is filtered by addresses and by properties of the mail. It is exact if it has the mail
of the figure and no other, which is checked against all mail of the window.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import nlargest
from typing import TypeVar

from app.analysis.mail.identities import MAX_RESULTS, Identity
from app.analysis.mail.record_filter import ALL, MAX_ADDRESSES, NOT_PASS, RecordFilter
from app.analysis.mail.sources import ELSEWHERE, Flow, Source

MAX_TEXT = 253  # characters of a filter value
FAILED = RecordFilter(result="fail")

Key = TypeVar("Key")
DkimKey = tuple[str, str, str]  # domain, selector, result
SpfKey = tuple[str, str]  # domain, result
_DkimValues = tuple[str | None, str | None, str | None]
_SpfValues = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class RecordLink:
    """The record list behind a figure.

    filter    the filter of the list; without addresses it has the mail from all of them
    is_exact  whether its records have exactly the mail of the figure
    """

    filter: RecordFilter
    is_exact: bool

    @property
    def is_narrow(self) -> bool:
        """Whether the list is limited to one source instead of all mail."""
        filter = self.filter
        return self.is_exact or bool(filter.source_ips or filter.dkim_domain or filter.spf_domain)


def common_filter(domain: str, identities: Iterable[Identity]) -> RecordFilter:
    """Return a filter that all identities match: by result, and by the domain or names below it."""
    listed = list(identities)
    names = {identity.header_from for identity in listed}
    return RecordFilter(
        result="fail" if listed and not any(identity.passed for identity in listed) else None,
        header_from=domain if names == {domain} else None,
        subdomains_only=bool(names) and domain not in names,
    )


def dkim_filter(domain: str, selector: str | None, result: str | None) -> RecordFilter:
    """Return the filter for a DKIM result, without values that are too long for a filter."""
    name, selector, result = _dkim_values(domain, selector, result)
    return RecordFilter(dkim_domain=name, dkim_selector=selector, dkim_result=result)


def spf_filter(domain: str, result: str | None) -> RecordFilter:
    """Return the filter for an SPF result, without values that are too long for a filter."""
    name, result = _spf_values(domain, result)
    return RecordFilter(spf_domain=name, spf_result=result)


def _dkim_values(domain: str, selector: str | None, result: str | None) -> _DkimValues:
    if not _in_limits(domain):
        return None, None, None
    return domain, _in_limits(selector), _in_limits(result)


def _spf_values(domain: str, result: str | None) -> _SpfValues:
    return (domain, _in_limits(result)) if _in_limits(domain) else (None, None)


def _in_limits(text: str | None) -> str | None:
    return text if text and len(text) <= MAX_TEXT else None


class FlowIndex:
    """All mail of a window, by address and identity.

    identities  by number; a negative number is a group of rare identities
    provenance  the provenance of the reports with this mail; None: any
    """

    def __init__(
        self,
        domain: str,
        sources: Sequence[Source],
        identities: Mapping[int, Identity],
        provenance: str | None = None,
    ) -> None:
        self._provenance = provenance
        self._domain, self._sources, self._identities = domain, sources, identities
        self._sums: dict[RecordFilter, int | None] = {}
        self._may_be_elsewhere: dict[RecordFilter, bool] = {}
        self._sent: dict[Sequence[str], Mapping[int, int]] = {}

    def of_source(self, source: Source) -> RecordLink:
        """Return the record list of a source, by its addresses."""
        sent: Mapping[str, int] = source.addresses
        if source.has_more_addresses:
            sent = {**sent, ELSEWHERE: 1}
        return self._by_address(sent, source.messages, ALL)

    def of_mail(self, sent: Mapping[str, int], filter: RecordFilter = ALL) -> RecordLink:
        """Return the record list of mail that all matches, by its messages from each address."""
        return self._by_address(sent, sum(sent.values()), filter)

    def of_flows(self, parts: Iterable[Sequence[Flow]], filter: RecordFilter) -> RecordLink:
        """Return the same as ``of_mail``, for the flows of a figure."""
        sent = Counter[str]()
        for flows in parts:
            for address, _, messages, _, _ in flows:
                sent[address] += messages
        return self.of_mail(sent, filter)

    def of_part(self, source: Source, filter: RecordFilter) -> RecordLink:
        """Return the record list of the mail of a source that matches."""
        fitting = (flows for number, flows in source.flows.items() if self._fits(number, filter))
        return self.of_flows(fitting, filter)

    def signers(self, source: Source, most: int) -> Iterator[tuple[DkimKey, int, RecordLink]]:
        """Yield the DKIM results of a source with the most messages, with their record lists."""
        counts = Counter[DkimKey]()
        for number, messages in source.identities.items():
            for signer in self._identities[number].dkim_results:
                counts[signer] += messages
        for signer, messages in counts.most_common(most):
            yield signer, messages, self._within(source, messages, dkim_filter(*signer))

    def envelopes(self, source: Source, most: int) -> Iterator[tuple[SpfKey, int, RecordLink]]:
        """Yield the SPF results of a source with the most messages, in any scope."""
        counts = Counter[SpfKey]()
        for number, messages in source.identities.items():
            results = self._identities[number].spf_results
            for envelope in dict.fromkeys((domain, result) for domain, _, result in results):
                counts[envelope] += messages
        for envelope, messages in counts.most_common(most):
            yield envelope, messages, self._within(source, messages, spf_filter(*envelope))

    def authors(self, source: Source, most: int) -> Iterator[tuple[str, int, RecordLink]]:
        """Yield the From domains of a source with the most messages, with their record lists."""
        for name, messages in source.header_from.most_common(most):
            yield name, messages, self._within(source, messages, self.author(name))

    def part(self, messages: int, filter: RecordFilter) -> RecordLink:
        """Return the record list of this number of matching messages from any address."""
        return self._list(filter, (), messages == self._listed(filter))

    def all_records(self, filter: RecordFilter) -> RecordLink:
        """Return the record list of all mail that is known to match."""
        unclear = (self._fits(number, filter) is None for number in self._unclear)
        return self._list(filter, (), not any(unclear))

    def author(self, name: str) -> RecordFilter:
        """Return the filter for an author's domain in the form in which sources name it."""
        is_rare = name == f"*.{self._domain}" and any(number < 0 for number in self._identities)
        return RecordFilter(subdomains_only=True) if is_rare else RecordFilter(header_from=name)

    def is_all(self, filter: RecordFilter, numbers: Set[int]) -> bool:
        """Return whether no other identities match."""
        return all(
            number in numbers or self._fits(number, filter) is False for number in self._identities
        )

    def _list(self, filter: RecordFilter, addresses: Sequence[str], is_exact: bool) -> RecordLink:
        if addresses or filter.provenance != self._provenance:
            filter = replace(filter, source_ips=tuple(addresses), provenance=self._provenance)
        return RecordLink(filter, is_exact)

    def _within(self, source: Source, messages: int, filter: RecordFilter) -> RecordLink:
        """The record list of this number of matching messages, without addresses if possible."""
        if messages == self._listed(filter):
            return self._list(filter, (), True)
        if source.has_more_addresses or len(source.addresses) > MAX_ADDRESSES:
            return self._list(filter, (), False)  # a superset is better than a part
        named = _most_common(source.addresses)
        return self._list(filter, named, messages == self._listed(filter, named))

    def _by_address(
        self, sent: Mapping[str, int], messages: int, filter: RecordFilter
    ) -> RecordLink:
        counts = {address: count for address, count in sent.items() if address and count}
        is_whole = 0 < len(counts) <= MAX_ADDRESSES and not sent.get(ELSEWHERE)
        if is_whole and messages == self._listed(filter, named := _most_common(counts)):
            return self._list(filter, named, True)
        if messages == self._listed(filter):
            return self._list(filter, (), True)
        return self._list(filter, _most_common(counts), False)

    def _listed(self, filter: RecordFilter, addresses: Sequence[str] = ()) -> int | None:
        """The number of messages in a list, of these addresses if any; None: unknown."""
        if addresses:
            return None if self._is_elsewhere(filter) else self._sum(self._of(addresses), filter)
        if filter not in self._sums:
            self._sums[filter] = self._sum(self._totals, filter)
        return self._sums[filter]

    def _sum(self, mail: Mapping[int, int], filter: RecordFilter) -> int | None:
        total = 0
        for number in self._candidates(filter, mail):
            fits = self._fits(number, filter)
            if fits is None:
                return None
            total += mail[number] * fits
        return total

    def _is_elsewhere(self, filter: RecordFilter) -> bool:
        """Whether mail from unknown addresses may match."""
        is_elsewhere = self._may_be_elsewhere.get(filter)
        if is_elsewhere is None:
            numbers = self._candidates(filter, self._elsewhere)
            fits = (self._fits(number, filter) for number in numbers)
            is_elsewhere = self._may_be_elsewhere[filter] = any(fit is not False for fit in fits)
        return is_elsewhere

    def _fits(self, number: int, filter: RecordFilter) -> bool | None:
        """Whether mail with the identity matches; None: unknown."""
        identity = self._identities[number]
        if filter.result and identity.passed != (filter.result == "pass"):
            return False
        if filter.subdomains_only and identity.header_from == self._domain:
            return False
        results = {
            self._is_author(number, filter.header_from),
            self._has_dkim_result(number, filter),
            self._has_spf_result(number, filter),
        }
        return False if False in results else None if None in results else True

    def _is_author(self, number: int, name: str | None) -> bool | None:
        author = self._identities[number].header_from
        if name is None or number >= 0 or author == self._domain:
            return name in (None, author)
        return False if name == self._domain else None

    def _has_dkim_result(self, number: int, filter: RecordFilter) -> bool | None:
        results = self._identities[number].dkim_results
        if filter.dkim_domain is None:
            return True
        for domain, selector, result in results:
            is_selector = filter.dkim_selector in (None, selector)
            if domain == filter.dkim_domain and is_selector and _is(filter.dkim_result, result):
                return True
        return None if number < 0 or len(results) >= MAX_RESULTS else False

    def _has_spf_result(self, number: int, filter: RecordFilter) -> bool | None:
        results = self._identities[number].spf_results
        if filter.spf_domain is None:
            return True
        if any(name == filter.spf_domain and _is(filter.spf_result, r) for name, _, r in results):
            return True
        return None if number < 0 or len(results) >= MAX_RESULTS else False

    def _candidates(self, filter: RecordFilter, among: Collection[int]) -> Iterable[int]:
        """The identities that may match, by an index: there are too many to check all each time."""
        numbers: Collection[int] | None = None
        if filter.dkim_selector and filter.dkim_result:
            key = (filter.dkim_domain, filter.dkim_selector, filter.dkim_result)
            numbers = self._by_dkim_result.get(key, ())
        elif filter.spf_result:
            numbers = self._by_spf_result.get((filter.spf_domain, filter.spf_result), ())
        elif filter.header_from is not None:
            numbers = self._by_author.get(filter.header_from, ())
        if numbers is None:
            return among
        return [number for number in {*numbers, *self._unclear} if number in among]

    def _of(self, addresses: Sequence[str]) -> Mapping[int, int]:
        """The messages from these addresses by identity."""
        counts = self._sent.get(addresses)
        if counts is None:
            counts = {}
            for address in addresses:
                for _, number, messages, _, _ in self._by_source_ip.get(address, ()):
                    counts[number] = counts.get(number, 0) + messages
            # Stored only when complete, because other threads may read it.
            self._sent[addresses] = counts
        return counts

    @cached_property
    def _totals(self) -> Counter[int]:
        totals = Counter[int]()
        for source in self._sources:
            totals.update(source.identities)
        return totals

    @cached_property
    def _by_source_ip(self) -> Mapping[str, Sequence[Flow]]:
        by_address: dict[str, list[Flow]] = {}
        for source in self._sources:
            for flows in source.flows.values():
                for flow in flows:
                    address = flow[0]
                    if address in by_address:
                        by_address[address].append(flow)
                    else:
                        by_address[address] = [flow]
        return by_address

    @cached_property
    def _elsewhere(self) -> Set[int]:
        """The identities of mail from unknown addresses."""
        return {flow.identity for flow in self._by_source_ip.get(ELSEWHERE, ())}

    @cached_property
    def _unclear(self) -> Set[int]:
        """The identities whose results are grouped or truncated."""
        return {
            n
            for n, identity in self._identities.items()
            if n < 0 or max(len(identity.dkim_results), len(identity.spf_results)) >= MAX_RESULTS
        }

    @cached_property
    def _by_dkim_result(self) -> dict[_DkimValues, list[int]]:
        pairs = ((n, identity.dkim_results) for n, identity in self._identities.items())
        return _index((n, _dkim_values(*result)) for n, results in pairs for result in results)

    @cached_property
    def _by_spf_result(self) -> dict[_SpfValues, list[int]]:
        pairs = ((n, identity.spf_results) for n, identity in self._identities.items())
        return _index((n, _spf_values(name, r)) for n, results in pairs for name, _, r in results)

    @cached_property
    def _by_author(self) -> dict[str, list[int]]:
        return _index((n, identity.header_from) for n, identity in self._identities.items())


def _is(expected: str | None, result: str) -> bool:
    if expected == NOT_PASS:
        return result != "pass"
    return expected in (None, result)


def _most_common(counts: Mapping[str, int]) -> Sequence[str]:
    """The addresses with the most messages, as many as a filter can have."""
    return tuple(nlargest(MAX_ADDRESSES, counts, key=counts.__getitem__))


def _index(pairs: Iterable[tuple[int, Key]]) -> dict[Key, list[int]]:
    index: dict[Key, list[int]] = {}
    for number, key in pairs:
        index.setdefault(key, []).append(number)
    return index

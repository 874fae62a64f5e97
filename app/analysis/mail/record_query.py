"""The record lists behind figures: the filters whose records add up to a figure.

A list is filtered by addresses and by properties of the mail: a RecordQuery. It is exact if it has
the mail of the figure and no other, which is checked against all mail of the window.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

from app.analysis.mail.identities import MAX_RESULTS, Identity
from app.analysis.mail.sources import ELSEWHERE, Flow, Source

MAX_ADDRESSES = 50  # in the filter of one record list
MAX_TEXT = 253  # characters of a filter value
NOT_PASS = "not_pass"  # every result but pass

Key = TypeVar("Key")
DkimKey = tuple[str, str, str]  # domain, selector, result
SpfKey = tuple[str, str]  # domain, result


@dataclass(frozen=True, slots=True)
class DkimFilter:
    """A filter by one DKIM result as reported; None matches everything."""

    domain: str
    selector: str | None = None
    result: str | None = None


@dataclass(frozen=True, slots=True)
class SpfFilter:
    """A filter by one SPF result as reported; None matches everything."""

    domain: str
    result: str | None = None


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """A filter by properties of the mail, regardless of its address; None matches everything.

    below  only authors below the domain
    """

    result: Literal["pass", "fail"] | None = None
    header_from: str | None = None
    subdomains_only: bool = False
    signed: DkimFilter | None = None
    enveloped: SpfFilter | None = None

    @property
    def filters(self) -> dict[str, str]:
        """The query parameters of a record list with this filter."""
        signed, enveloped = self.signed, self.enveloped
        values = {
            "result": self.result,
            "headerFrom": self.header_from,
            "subdomainsOnly": "true" if self.subdomains_only else None,
            "dkimDomain": signed and signed.domain,
            "dkimSelector": signed and signed.selector,
            "dkimResult": signed and signed.result,
            "spfDomain": enveloped and enveloped.domain,
            "spfResult": enveloped and enveloped.result,
        }
        return {name: value for name, value in values.items() if value}


ALL = RecordQuery()
FAILED = RecordQuery(result="fail")


@dataclass(frozen=True, slots=True)
class RecordQueryResult:
    """A record list.

    addresses  the addresses in its filter; none: all addresses
    is_exact   whether its records have exactly the mail of the figure
    """

    narrowing: RecordQuery
    addresses: Sequence[str]
    is_exact: bool
    provenance: str | None = None  # of the reports; None: any

    @property
    def filters(self) -> dict[str, str]:
        """The query parameters of the record list."""
        named = {"sourceIp": ",".join(self.addresses)} if self.addresses else {}
        named |= {"provenance": self.provenance} if self.provenance else {}
        return named | self.narrowing.filters

    @property
    def is_narrow(self) -> bool:
        """Whether the list is limited to one source instead of all mail."""
        narrowing = self.narrowing
        return self.is_exact or bool(self.addresses or narrowing.signed or narrowing.enveloped)


def common(domain: str, identities: Iterable[Identity]) -> RecordQuery:
    """A filter that all identities match: by result, and by the domain or names below it."""
    listed = list(identities)
    names = {identity.header_from for identity in listed}
    return RecordQuery(
        result="fail" if listed and not any(identity.passed for identity in listed) else None,
        header_from=domain if names == {domain} else None,
        subdomains_only=bool(names) and domain not in names,
    )


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
        self._sums: dict[RecordQuery, int | None] = {}
        self._far: dict[RecordQuery, bool] = {}
        self._sent: dict[Sequence[str], Counter[int]] = {}

    def of_source(self, source: Source) -> RecordQueryResult:
        """The record list of a source, by its addresses."""
        sent = source.addresses + Counter({ELSEWHERE: int(source.has_more_addresses)})
        return self._by_address(sent, source.messages, ALL)

    def of_mail(self, sent: Mapping[str, int], narrowing: RecordQuery = ALL) -> RecordQueryResult:
        """The record list of a figure whose mail all matches, by its messages from each address."""
        return self._by_address(sent, sum(sent.values()), narrowing)

    def of_flows(
        self, parts: Iterable[Sequence[Flow]], narrowing: RecordQuery
    ) -> RecordQueryResult:
        """The same as ``of_mail``, for the flows of a figure."""
        sent = Counter[str]()
        for flows in parts:
            for address, _, messages, _, _ in flows:
                sent[address] += messages
        return self.of_mail(sent, narrowing)

    def of_part(self, source: Source, narrowing: RecordQuery) -> RecordQueryResult:
        """The record list of the mail of a source that matches."""
        fitting = (flows for number, flows in source.flows.items() if self._fits(number, narrowing))
        return self.of_flows(fitting, narrowing)

    def signers(
        self, source: Source, most: int
    ) -> Iterator[tuple[DkimKey, int, RecordQueryResult]]:
        """The DKIM results of a source with the most messages, with their record lists."""
        counts = Counter[DkimKey]()
        for number, messages in source.identities.items():
            for signer in self._identities[number].dkim_results:
                counts[signer] += messages
        for signer, messages in counts.most_common(most):
            narrowing = RecordQuery(signed=dkim_filter(*signer))
            yield signer, messages, self._within(source, messages, narrowing)

    def envelopes(
        self, source: Source, most: int
    ) -> Iterator[tuple[SpfKey, int, RecordQueryResult]]:
        """The SPF results of a source with the most messages, in any scope, with record lists."""
        counts = Counter[SpfKey]()
        for number, messages in source.identities.items():
            results = self._identities[number].spf_results
            for envelope in dict.fromkeys((domain, result) for domain, _, result in results):
                counts[envelope] += messages
        for envelope, messages in counts.most_common(most):
            narrowing = RecordQuery(enveloped=spf_filter(*envelope))
            yield envelope, messages, self._within(source, messages, narrowing)

    def authors(self, source: Source, most: int) -> Iterator[tuple[str, int, RecordQueryResult]]:
        """The authors' domains of a source with the most messages, with their record lists."""
        for name, messages in source.header_from.most_common(most):
            yield name, messages, self._within(source, messages, self.author(name))

    def part(self, messages: int, narrowing: RecordQuery) -> RecordQueryResult:
        """The record list of this number of matching messages from any address."""
        return self._list(narrowing, (), messages == self._listed(narrowing))

    def all_records(self, narrowing: RecordQuery) -> RecordQueryResult:
        """The record list of all mail that is known to match."""
        unclear = (self._fits(number, narrowing) is None for number in self._unclear)
        return self._list(narrowing, (), not any(unclear))

    def author(self, name: str) -> RecordQuery:
        """The filter for an author's domain in the form in which sources name it."""
        is_rare = name == f"*.{self._domain}" and any(number < 0 for number in self._identities)
        return RecordQuery(subdomains_only=True) if is_rare else RecordQuery(header_from=name)

    def is_all(self, narrowing: RecordQuery, numbers: Set[int]) -> bool:
        """Whether no other identities match."""
        return all(
            number in numbers or self._fits(number, narrowing) is False
            for number in self._identities
        )

    def _list(
        self, narrowing: RecordQuery, addresses: Sequence[str], is_exact: bool
    ) -> RecordQueryResult:
        return RecordQueryResult(narrowing, addresses, is_exact, self._provenance)

    def _within(self, source: Source, messages: int, narrowing: RecordQuery) -> RecordQueryResult:
        """The record list of this number of matching messages, without addresses if possible."""
        if messages == self._listed(narrowing):
            return self._list(narrowing, (), True)
        if source.has_more_addresses or len(source.addresses) > MAX_ADDRESSES:
            return self._list(narrowing, (), False)  # a superset is better than a part
        named = _most_common(source.addresses)
        return self._list(narrowing, named, messages == self._listed(narrowing, named))

    def _by_address(
        self, sent: Mapping[str, int], messages: int, narrowing: RecordQuery
    ) -> RecordQueryResult:
        counts = Counter({address: count for address, count in sent.items() if address and count})
        named = _most_common(counts)
        is_whole = len(named) == sum(count > 0 for count in sent.values())
        if named and is_whole and messages == self._listed(narrowing, named):
            return self._list(narrowing, named, True)
        if messages == self._listed(narrowing):
            return self._list(narrowing, (), True)
        return self._list(narrowing, named, False)

    def _listed(self, narrowing: RecordQuery, addresses: Sequence[str] = ()) -> int | None:
        """The number of messages in a list, of these addresses if any; None: unknown."""
        if addresses:
            return None if self._is_far(narrowing) else self._sum(self._of(addresses), narrowing)
        if narrowing not in self._sums:
            self._sums[narrowing] = self._sum(self._totals, narrowing)
        return self._sums[narrowing]

    def _sum(self, mail: Mapping[int, int], narrowing: RecordQuery) -> int | None:
        total = 0
        for number in self._candidates(narrowing, mail):
            fits = self._fits(number, narrowing)
            if fits is None:
                return None
            total += mail[number] * fits
        return total

    def _is_far(self, narrowing: RecordQuery) -> bool:
        """Whether mail from unknown addresses may match."""
        is_far = self._far.get(narrowing)
        if is_far is None:
            numbers = self._candidates(narrowing, self._elsewhere)
            fits = (self._fits(number, narrowing) for number in numbers)
            is_far = self._far[narrowing] = any(fit is not False for fit in fits)
        return is_far

    def _fits(self, number: int, narrowing: RecordQuery) -> bool | None:
        """Whether mail with the identity matches; None: unknown."""
        identity = self._identities[number]
        if narrowing.result and identity.passed != (narrowing.result == "pass"):
            return False
        if narrowing.subdomains_only and identity.header_from == self._domain:
            return False
        results = {
            self._is_author(number, narrowing.header_from),
            self._is_signed(number, narrowing.signed),
            self._is_enveloped(number, narrowing.enveloped),
        }
        return False if False in results else None if None in results else True

    def _is_author(self, number: int, name: str | None) -> bool | None:
        author = self._identities[number].header_from
        if name is None or number >= 0 or author == self._domain:
            return name in (None, author)
        return False if name == self._domain else None

    def _is_signed(self, number: int, signed: DkimFilter | None) -> bool | None:
        results = self._identities[number].dkim_results
        if signed is None or any(_is(signed, *dkim_result) for dkim_result in results):
            return True
        return None if number < 0 or len(results) >= MAX_RESULTS else False

    def _is_enveloped(self, number: int, enveloped: SpfFilter | None) -> bool | None:
        results = self._identities[number].spf_results
        if enveloped is None:
            return True
        if any(name == enveloped.domain and _has(enveloped.result, r) for name, _, r in results):
            return True
        return None if number < 0 or len(results) >= MAX_RESULTS else False

    def _candidates(self, narrowing: RecordQuery, among: Collection[int]) -> Iterable[int]:
        """The identities that may match, by an index: there are too many to check all each time."""
        numbers: Collection[int] | None = None
        if narrowing.signed and narrowing.signed.selector and narrowing.signed.result:
            numbers = self._by_signer.get(narrowing.signed, ())
        elif narrowing.enveloped and narrowing.enveloped.result:
            numbers = self._by_envelope.get(narrowing.enveloped, ())
        elif narrowing.header_from is not None:
            numbers = self._by_author.get(narrowing.header_from, ())
        if numbers is None:
            return among
        return [number for number in {*numbers, *self._unclear} if number in among]

    def _of(self, addresses: Sequence[str]) -> Counter[int]:
        """The messages from these addresses by identity."""
        counts = self._sent.get(addresses)
        if counts is None:
            counts = Counter()
            for address in addresses:
                for number, messages in self._by_address_and_identity.get(address, ()):
                    counts[number] += messages
            self._sent[addresses] = (
                counts  # stored only when complete, because other threads may read it
            )
        return counts

    @cached_property
    def _totals(self) -> Counter[int]:
        totals = Counter[int]()
        for source in self._sources:
            totals.update(source.identities)
        return totals

    @cached_property
    def _by_address_and_identity(self) -> dict[str, list[tuple[int, int]]]:
        pairs: dict[str, list[tuple[int, int]]] = {}
        for source in self._sources:
            for number, flows in source.flows.items():
                for address, _, messages, _, _ in flows:
                    pairs.setdefault(address, []).append((number, messages))
        return pairs

    @cached_property
    def _elsewhere(self) -> Set[int]:
        """The identities of mail from unknown addresses."""
        return {number for number, _ in self._by_address_and_identity.get(ELSEWHERE, ())}

    @cached_property
    def _unclear(self) -> Set[int]:
        """The identities whose results are grouped or truncated."""
        return {
            n
            for n, identity in self._identities.items()
            if n < 0 or max(len(identity.dkim_results), len(identity.spf_results)) >= MAX_RESULTS
        }

    @cached_property
    def _by_signer(self) -> dict[DkimFilter | None, list[int]]:
        pairs = ((n, identity.dkim_results) for n, identity in self._identities.items())
        return _index((n, dkim_filter(*result)) for n, results in pairs for result in results)

    @cached_property
    def _by_envelope(self) -> dict[SpfFilter | None, list[int]]:
        pairs = ((n, identity.spf_results) for n, identity in self._identities.items())
        return _index((n, spf_filter(name, r)) for n, results in pairs for name, _, r in results)

    @cached_property
    def _by_author(self) -> dict[str, list[int]]:
        return _index((n, identity.header_from) for n, identity in self._identities.items())


def dkim_filter(domain: str, selector: str | None, result: str | None) -> DkimFilter | None:
    """The filter for a result, without values that are too long; None if there is no domain."""
    return DkimFilter(domain, _said(selector), _said(result)) if _said(domain) else None


def spf_filter(domain: str, result: str | None) -> SpfFilter | None:
    """The filter for a result, without values that are too long; None if there is no domain."""
    return SpfFilter(domain, _said(result)) if _said(domain) else None


def _said(text: str | None) -> str | None:
    return text if text and len(text) <= MAX_TEXT else None


def _is(signed: DkimFilter, domain: str, selector: str, result: str) -> bool:
    is_selector = signed.selector is None or signed.selector == selector
    return domain == signed.domain and is_selector and _has(signed.result, result)


def _has(expected: str | None, result: str) -> bool:
    if expected == NOT_PASS:
        return result != "pass"
    return expected is None or expected == result


def _most_common(counts: Counter[str]) -> Sequence[str]:
    """The addresses with the most messages, as many as a filter can have."""
    return tuple(address for address, _ in counts.most_common(MAX_ADDRESSES))


def _index(pairs: Iterable[tuple[int, Key]]) -> dict[Key, list[int]]:
    index: dict[Key, list[int]] = {}
    for number, key in pairs:
        index.setdefault(key, []).append(number)
    return index

"""Which records are behind a figure, as far as a list of them can be asked for. Pure.

A list is narrowed by addresses, and by what mail has in common: a Narrowing. Whether it has what a
figure has, and nothing else, is found by holding it against all mail of the window: what addresses
sent with which identity is known, but for what is too rare to be told apart or was cut off.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

from app.analysis.mail.identities import MAX_RESULTS, Identity
from app.analysis.mail.sources import ELSEWHERE, Flow, Source

MAX_ADDRESSES = 50  # that one list of records may be asked for
MAX_TEXT = 253  # characters of a value that it may be asked for
NOT_PASS = "not_pass"  # every result but pass

Key = TypeVar("Key")
DkimKey = tuple[str, str, str]  # domain, selector, result
SpfKey = tuple[str, str]  # domain, result


@dataclass(frozen=True, slots=True)
class DkimFilter:
    """One DKIM result of a record, as the report has it; what is None leaves all."""

    domain: str
    selector: str | None = None
    result: str | None = None


@dataclass(frozen=True, slots=True)
class SpfFilter:
    """One SPF result of a record, as the report has it; what is None leaves all."""

    domain: str
    result: str | None = None


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """Which mail, wherever it comes from; what is None leaves all.

    below  only from authors below the domain
    """

    result: Literal["pass", "fail"] | None = None
    header_from: str | None = None
    subdomains_only: bool = False
    signed: DkimFilter | None = None
    enveloped: SpfFilter | None = None

    @property
    def filters(self) -> dict[str, str]:
        """As a list of records is asked for it."""
        signed, enveloped = self.signed, self.enveloped
        found = {
            "result": self.result,
            "headerFrom": self.header_from,
            "below": "true" if self.subdomains_only else None,
            "dkimDomain": signed and signed.domain,
            "dkimSelector": signed and signed.selector,
            "dkimResult": signed and signed.result,
            "spfDomain": enveloped and enveloped.domain,
            "spfResult": enveloped and enveloped.result,
        }
        return {name: value for name, value in found.items() if value}


ALL = RecordQuery()
FAILED = RecordQuery(result="fail")


@dataclass(frozen=True, slots=True)
class RecordQueryResult:
    """A list of records.

    addresses  that it names; none: it is not narrowed to any
    is_exact   what counts of them is the figure's mail, all of it and no other
    """

    narrowing: RecordQuery
    addresses: Sequence[str]
    is_exact: bool
    provenance: str | None = None  # of the reports; None: any

    @property
    def filters(self) -> dict[str, str]:
        """As it is asked for."""
        named = {"sourceIp": ",".join(self.addresses)} if self.addresses else {}
        named |= {"provenance": self.provenance} if self.provenance else {}
        return named | self.narrowing.filters

    @property
    def is_narrow(self) -> bool:
        """It has to do with one source, and not with the mail of all."""
        wanted = self.narrowing
        return self.is_exact or bool(self.addresses or wanted.signed or wanted.enveloped)


def common(domain: str, identities: Iterable[Identity]) -> RecordQuery:
    """What all of them fit: whether they failed, and whether at the domain or below it."""
    found = list(identities)
    names = {identity.header_from for identity in found}
    return RecordQuery(
        result="fail" if found and not any(identity.passed for identity in found) else None,
        header_from=domain if names == {domain} else None,
        subdomains_only=bool(names) and domain not in names,
    )


class FlowIndex:
    """All mail of a window, by address and identity.

    identities  by number; a negative one stands for many that are too rare to be told
    provenance  of the reports that all this mail is from; None: any
    """

    def __init__(
        self, domain: str, sources: Sequence[Source], identities: Mapping[int, Identity],
        provenance: str | None = None,
    ) -> None:  # fmt: skip
        self._provenance = provenance
        self._domain, self._sources, self._identities = domain, sources, identities
        self._sums: dict[RecordQuery, int | None] = {}
        self._far: dict[RecordQuery, bool] = {}
        self._sent: dict[Sequence[str], Counter[int]] = {}

    def of_source(self, source: Source) -> RecordQueryResult:
        """The records of a source: those of its addresses, if it is known by any."""
        sent = source.addresses + Counter({ELSEWHERE: int(source.has_more_addresses)})
        return self._by_address(sent, source.messages, ALL)

    def of_mail(self, sent: Mapping[str, int], narrowing: RecordQuery = ALL) -> RecordQueryResult:
        """Those of a figure by its messages from each address; all of its mail fits."""
        return self._by_address(sent, sum(sent.values()), narrowing)

    def of_flows(
        self, parts: Iterable[Sequence[Flow]], narrowing: RecordQuery
    ) -> RecordQueryResult:
        """As ``of_mail``, of a figure's flows."""
        sent = Counter[str]()
        for flows in parts:
            for address, _, messages, _, _ in flows:
                sent[address] += messages
        return self.of_mail(sent, narrowing)

    def of_part(self, source: Source, narrowing: RecordQuery) -> RecordQueryResult:
        """Those of what fits of a source's mail."""
        fitting = (some for number, some in source.flows.items() if self._fits(number, narrowing))
        return self.of_flows(fitting, narrowing)

    def signers(
        self, source: Source, most: int
    ) -> Iterator[tuple[DkimKey, int, RecordQueryResult]]:
        """The DKIM results of a source with the most messages."""
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
        """The SPF results of a source with the most messages, whatever their scope."""
        counts = Counter[SpfKey]()
        for number, messages in source.identities.items():
            results = self._identities[number].spf_results
            for envelope in dict.fromkeys((domain, result) for domain, _, result in results):
                counts[envelope] += messages
        for envelope, messages in counts.most_common(most):
            narrowing = RecordQuery(enveloped=spf_filter(*envelope))
            yield envelope, messages, self._within(source, messages, narrowing)

    def authors(self, source: Source, most: int) -> Iterator[tuple[str, int, RecordQueryResult]]:
        """The authors' domains of a source with the most messages."""
        for name, messages in source.header_from.most_common(most):
            yield name, messages, self._within(source, messages, self.author(name))

    def part(self, messages: int, narrowing: RecordQuery) -> RecordQueryResult:
        """Those of so many messages, which fit, whatever address they came from."""
        return self._list(narrowing, (), messages == self._listed(narrowing))

    def all_records(self, narrowing: RecordQuery) -> RecordQueryResult:
        """Those of all mail that is known to fit."""
        unclear = (self._fits(number, narrowing) is None for number in self._unclear)
        return self._list(narrowing, (), not any(unclear))

    def author(self, name: str) -> RecordQuery:
        """Mail from this author's domain, as the sources name it."""
        is_rare = name == f"*.{self._domain}" and any(number < 0 for number in self._identities)
        return RecordQuery(subdomains_only=True) if is_rare else RecordQuery(header_from=name)

    def is_all(self, narrowing: RecordQuery, numbers: Set[int]) -> bool:
        """Whether only these identities fit."""
        return all(
            number in numbers or self._fits(number, narrowing) is False
            for number in self._identities
        )

    def _list(
        self, narrowing: RecordQuery, addresses: Sequence[str], is_exact: bool
    ) -> RecordQueryResult:
        return RecordQueryResult(narrowing, addresses, is_exact, self._provenance)

    def _within(self, source: Source, messages: int, narrowing: RecordQuery) -> RecordQueryResult:
        """Those of so many of a source's messages, which fit; without addresses if it can be."""
        if messages == self._listed(narrowing):
            return self._list(narrowing, (), True)
        if source.has_more_addresses or len(source.addresses) > MAX_ADDRESSES:
            return self._list(narrowing, (), False)  # all of it and more rather than some of it
        named = _most_common(source.addresses)
        return self._list(narrowing, named, messages == self._listed(narrowing, named))

    def _by_address(
        self, sent: Mapping[str, int], messages: int, narrowing: RecordQuery
    ) -> RecordQueryResult:
        known = Counter({address: count for address, count in sent.items() if address and count})
        named = _most_common(known)
        is_whole = len(named) == sum(count > 0 for count in sent.values())
        if named and is_whole and messages == self._listed(narrowing, named):
            return self._list(narrowing, named, True)
        if messages == self._listed(narrowing):
            return self._list(narrowing, (), True)
        return self._list(narrowing, named, False)

    def _listed(self, narrowing: RecordQuery, addresses: Sequence[str] = ()) -> int | None:
        """What a list would have, of these addresses if any; None: it cannot be told."""
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
        """Whether mail may fit of which the addresses are not known."""
        found = self._far.get(narrowing)
        if found is None:
            numbers = self._candidates(narrowing, self._elsewhere)
            fits = (self._fits(number, narrowing) for number in numbers)
            found = self._far[narrowing] = any(one is not False for one in fits)
        return found

    def _fits(self, number: int, narrowing: RecordQuery) -> bool | None:
        """Whether mail with the identity is in such a list; None: it cannot be told."""
        identity = self._identities[number]
        if narrowing.result and identity.passed != (narrowing.result == "pass"):
            return False
        if narrowing.subdomains_only and identity.header_from == self._domain:
            return False
        found = {
            self._is_author(number, narrowing.header_from),
            self._is_signed(number, narrowing.signed),
            self._is_enveloped(number, narrowing.enveloped),
        }
        return False if False in found else None if None in found else True

    def _is_author(self, number: int, name: str | None) -> bool | None:
        author = self._identities[number].header_from
        if name is None or number >= 0 or author == self._domain:
            return name in (None, author)
        return False if name == self._domain else None

    def _is_signed(self, number: int, wanted: DkimFilter | None) -> bool | None:
        results = self._identities[number].dkim_results
        if wanted is None or any(_is(wanted, *one) for one in results):
            return True
        return None if number < 0 or len(results) >= MAX_RESULTS else False

    def _is_enveloped(self, number: int, wanted: SpfFilter | None) -> bool | None:
        results = self._identities[number].spf_results
        if wanted is None:
            return True
        if any(name == wanted.domain and _has(wanted.result, r) for name, _, r in results):
            return True
        return None if number < 0 or len(results) >= MAX_RESULTS else False

    def _candidates(self, narrowing: RecordQuery, among: Collection[int]) -> Iterable[int]:
        """Those of the identities that may fit; there are too many to look at each every time."""
        found: Collection[int] | None = None
        if narrowing.signed and narrowing.signed.selector and narrowing.signed.result:
            found = self._by_signer.get(narrowing.signed, ())
        elif narrowing.enveloped and narrowing.enveloped.result:
            found = self._by_envelope.get(narrowing.enveloped, ())
        elif narrowing.header_from is not None:
            found = self._by_author.get(narrowing.header_from, ())
        if found is None:
            return among
        return [number for number in {*found, *self._unclear} if number in among]

    def _of(self, addresses: Sequence[str]) -> Counter[int]:
        """What they sent with each identity."""
        found = self._sent.get(addresses)
        if found is None:
            found = Counter()
            for address in addresses:
                for number, messages in self._by_address_and_identity.get(address, ()):
                    found[number] += messages
            self._sent[addresses] = found  # whole, for others may ask at the same time
        return found

    @cached_property
    def _totals(self) -> Counter[int]:
        found = Counter[int]()
        for source in self._sources:
            found.update(source.identities)
        return found

    @cached_property
    def _by_address_and_identity(self) -> dict[str, list[tuple[int, int]]]:
        found: dict[str, list[tuple[int, int]]] = {}
        for source in self._sources:
            for number, flows in source.flows.items():
                for address, _, messages, _, _ in flows:
                    found.setdefault(address, []).append((number, messages))
        return found

    @cached_property
    def _elsewhere(self) -> Set[int]:
        """Identities of mail of which the addresses are not known."""
        return {number for number, _ in self._by_address_and_identity.get(ELSEWHERE, ())}

    @cached_property
    def _unclear(self) -> Set[int]:
        """Identities that do not tell all."""
        return {
            number
            for number, one in self._identities.items()
            if number < 0 or max(len(one.dkim_results), len(one.spf_results)) >= MAX_RESULTS
        }

    @cached_property
    def _by_signer(self) -> dict[DkimFilter | None, list[int]]:
        return _index(
            (n, dkim_filter(*o)) for n, i in self._identities.items() for o in i.dkim_results
        )

    @cached_property
    def _by_envelope(self) -> dict[SpfFilter | None, list[int]]:
        return _index(
            (number, spf_filter(name, result))
            for number, one in self._identities.items()
            for name, _, result in one.spf_results
        )

    @cached_property
    def _by_author(self) -> dict[str, list[int]]:
        return _index((number, one.header_from) for number, one in self._identities.items())


def dkim_filter(domain: str, selector: str | None, result: str | None) -> DkimFilter | None:
    """As far as a list can be asked for it; None if there is no domain."""
    return DkimFilter(domain, _said(selector), _said(result)) if _said(domain) else None


def spf_filter(domain: str, result: str | None) -> SpfFilter | None:
    """As far as a list can be asked for it; None if there is no domain."""
    return SpfFilter(domain, _said(result)) if _said(domain) else None


def _said(text: str | None) -> str | None:
    return text if text and len(text) <= MAX_TEXT else None


def _is(wanted: DkimFilter, domain: str, selector: str, result: str) -> bool:
    is_selector = wanted.selector is None or wanted.selector == selector
    return domain == wanted.domain and is_selector and _has(wanted.result, result)


def _has(wanted: str | None, result: str) -> bool:
    if wanted == NOT_PASS:
        return result != "pass"
    return wanted is None or wanted == result


def _most_common(counts: Counter[str]) -> Sequence[str]:
    """Addresses that sent the most, as many as a list can name."""
    return tuple(address for address, _ in counts.most_common(MAX_ADDRESSES))


def _index(pairs: Iterable[tuple[int, Key]]) -> dict[Key, list[int]]:
    found: dict[Key, list[int]] = {}
    for number, key in pairs:
        found.setdefault(key, []).append(number)
    return found

"""SPF terms and DKIM selectors by use in reports, and the subdomains that send."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from app.analysis.mail.identities import Identity
from app.analysis.mail.sources import Flow, Source
from app.analysis.mail.spf_paths import SpfPaths

MIN_DAYS = 14  # with reports, needed to call a term unused


@dataclass(frozen=True, slots=True)
class TermUse:
    """A term of the SPF record, and the messages that passed by it.

    is_certain  False if the term may authorize addresses that the scan did not resolve, or if
                there are reports of too few days
    """

    term: str
    messages: int
    is_certain: bool


@dataclass(frozen=True, slots=True)
class SelectorUse:
    """A DKIM selector of the domain.

    messages      messages with a valid signature
    failed        messages with an invalid signature
    is_published  by the last scan; None if the scan did not query it
    """

    selector: str
    messages: int
    failed: int
    is_published: bool | None


@dataclass(frozen=True, slots=True)
class Subdomain:
    """A subdomain in the From field of mail; ``first_hour`` is that of its first message ever."""

    name: str
    messages: int
    passed: int
    first_hour: int


def terms(
    spf: SpfPaths | None, sources: Iterable[Source], identities: Mapping[int, Identity], days: int
) -> list[TermUse]:
    """Return the terms of the record with their use; a message counts for each matching term.

    days  number of days with reports
    """
    if spf is None:
        return []
    used, unexplained = Counter[str](), 0
    passing = {number for number, identity in identities.items() if _passes(identity, spf.domain)}
    for source in sources:
        for address, _, messages, _, _ in _flows(source, passing):
            matches = spf.authorizing(address) if address else ()
            for text in {term.text for term in matches}:
                used[text] += messages
            unexplained += 0 if matches else messages
    return [
        TermUse(
            term.text,
            used[term.text],
            days >= MIN_DAYS and not (term.is_open and unexplained),
        )
        for term in spf.terms
    ]


def selectors(
    domain: str,
    identities: Mapping[int, Identity],
    sources: Iterable[Source],
    known: Mapping[str, Any],
) -> list[SelectorUse]:
    """Return the domain's selectors in signatures or in the last scan, most used first."""
    valid, failed = Counter[str](), Counter[str]()
    for source in sources:
        for number, messages in source.identities.items():
            results = identities[number].dkim_results
            uses = {(s, result == "pass") for name, s, result in results if name == domain and s}
            for selector, is_valid in uses:
                (valid if is_valid else failed)[selector] += messages
    names = {*valid, *failed, *(name for name in known if name != "*")}
    selector_uses = [
        SelectorUse(
            selector=name,
            messages=valid[name],
            failed=failed[name],
            is_published=_is_published(known.get(name)),
        )
        for name in names
    ]
    return sorted(selector_uses, key=lambda use: (-use.messages, use.selector))


def subdomains(
    domain: str, sources: Iterable[Source], identities: Mapping[int, Identity]
) -> list[Subdomain]:
    """Return the names below the domain in the From field of mail, most messages first."""
    messages, passed = Counter[str](), Counter[str]()
    first: dict[str, int] = {}
    below = {number for number, identity in identities.items() if identity.header_from != domain}
    for source in sources:
        for flow in _flows(source, below):
            identity = identities[flow.identity]
            name = identity.header_from
            messages[name] += flow.messages
            passed[name] += flow.messages * identity.passed
            first[name] = min(flow.first_hour, first.get(name, flow.first_hour))
    return [
        Subdomain(name=name, messages=count, passed=passed[name], first_hour=first[name])
        for name, count in messages.most_common()
    ]


def _flows(source: Source, numbers: Set[int]) -> Iterator[Flow]:
    """The flows of the source with these identities."""
    for number, flows in source.flows.items():
        if number in numbers:
            yield from flows


def _passes(identity: Identity, domain: str) -> bool:
    return any(name == domain and result == "pass" for name, _, result in identity.spf_results)


def _is_published(facts: Any) -> bool | None:
    return bool(facts["found"]) if isinstance(facts, dict) and "found" in facts else None

"""The tree of records below one SPF record, and the lookups that it costs (RFC 7208 §4.6.4).

The tree is read without a sender: the queries of each level are sent together, each name once, and
terms that depend on the mail are counted but not queried. Limits are checked before each query.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.ports.dns import LookupFailed, Resolver
from app.protocols import spf
from app.protocols.spf import Directive, Qualifier, macros

MAX_DEPTH = 10  # levels below the domain's own record; a deeper level means over ten lookups
MAX_RECORDS = 40  # records to read in total; beyond it, counts are "at least"

Question = tuple[Literal["a", "mx", "exists"], str]
Status = Literal["valid", "not_found", "none", "several", "syntax_error", "not_followed"]


@dataclass(frozen=True, slots=True)
class Source:
    """The records at one name of the tree.

    texts     the TXT values that receivers recognize as SPF records
    others    the other TXT values
    exists    False for NXDOMAIN
    record    None unless there is exactly one text and it is valid
    problems  why it is not valid
    links     the includes and the redirect in force, where they can be followed
    """

    name: str
    texts: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    exists: bool = False
    record: spf.Record | None = None
    problems: tuple[spf.Problem, ...] = ()
    links: "tuple[Link, ...]" = ()

    @property
    def status(self) -> Status:
        """The status that a receiver sees."""
        if not self.texts:
            return "none" if self.exists else "not_found"
        if len(self.texts) > 1:
            return "several"
        return "valid" if self.record else "syntax_error"

    @property
    def is_void(self) -> bool:
        """Whether the lookup returned no TXT value at all."""
        return not self.texts and not self.others


@dataclass(frozen=True, slots=True)
class Link:
    """An include or redirect in the record of ``owner``."""

    owner: str
    text: str
    target: str
    qualifier: Qualifier | None

    @property
    def is_redirect(self) -> bool:
        """Whether this is a redirect, not an include."""
        return self.qualifier is None


@dataclass(frozen=True, slots=True)
class RecordCounts:
    """The number of records that a term yields for an IPv4 and for an IPv6 client.

    host_addresses  of an mx term: the most addresses of one host in one family
    """

    ip4: int
    ip6: int
    host_addresses: int = 0


@dataclass(frozen=True, slots=True)
class Tree:
    """The records below ``root``, each name once, in the order in which they were read.

    record_counts  the number of records for each query of a, mx and exists terms
    is_complete    False if a limit ended the walk; then all counts are lower bounds
    """

    root: Source
    sources: Mapping[str, Source]
    record_counts: Mapping[Question, RecordCounts] = field(default_factory=dict)
    is_complete: bool = True

    def links(self, name: str) -> tuple[Link, ...]:
        """The links of one record; none for a name that was not read."""
        source = self.sources.get(name)
        return source.links if source else ()

    def status(self, name: str) -> Status:
        """The status of the record at the target of a link."""
        return self.sources[name].status if name in self.sources else "not_followed"


async def walk(dns: Resolver, domain: str) -> Tree:
    """The tree below the domain's own record.

    raises  LookupFailed if any part cannot be queried; but if there are more than ten lookups
            already, an exhausted budget only ends the counting
    """
    sources: dict[str, Source] = {}
    record_counts: dict[Question, RecordCounts] = {}
    names, questions, lookups = [domain], list[Question](), 0
    for _ in range(MAX_DEPTH + 1):
        try:
            dns.prefetch(*((name, "TXT") for name in names), *map(_first, questions))
            records = [await _read(dns, name) for name in names]
            counts = [await _count(dns, question) for question in questions]
        except LookupFailed as error:
            if error.reason != "budget" or lookups <= spf.MAX_LOOKUPS:
                raise
            return Tree(sources[domain], sources, record_counts, is_complete=False)
        sources |= zip(names, records, strict=True)
        record_counts |= zip(questions, counts, strict=True)
        questions = []
        for source in records:
            questions += _questions(source, spf.MAX_LOOKUPS - lookups)
            lookups += own_cost(source)
        unread = _not_yet_read(records, sources)
        names = unread[: MAX_RECORDS - len(sources)]
        if not names and not questions:
            break
    return Tree(sources[domain], sources, record_counts, is_complete=not unread)


def loops(tree: Tree) -> tuple[tuple[Link, ...], ...]:
    """The chains of links that end at the name where they begin."""
    chains: list[tuple[Link, ...]] = []
    _add_loops(tree, tree.root.name, (), chains, set())
    return tuple(chains)


def _add_loops(
    tree: Tree, name: str, path: tuple[Link, ...], chains: list[tuple[Link, ...]], done: set[str]
) -> None:
    """Add the chains from the name on; ``path`` leads to it, and names in ``done`` are finished."""
    names = [*(link.owner for link in path), name]
    for link in tree.links(name):
        if link.target in names:
            chains.append((*path, link)[names.index(link.target) :])
        elif link.target not in done:
            _add_loops(tree, link.target, (*path, link), chains, done)
    done.add(name)


def in_force(tree: Tree) -> Source | None:
    """The record whose end decides about mail that no term matches, after redirects (§6.1).

    returns  None if a redirect loops, has no valid record at its target, or depends on the mail
    """
    visited = set[str]()
    source = tree.root
    while source.record and (redirect := source.record.redirect) and redirect.target:
        visited.add(source.name)
        name = redirect.target.name_at(source.name)
        if name is None or name in visited or name not in tree.sources:
            return None
        source = tree.sources[name]
    return source if source.record else None


def passing(tree: Tree) -> tuple[Source, ...]:
    """The records whose passes count for the domain: its own, by redirect and by ``+include``."""
    reached = {tree.root.name: None}
    queue = [tree.root.name]
    for name in queue:
        for link in tree.links(name):
            if link.qualifier in (None, Qualifier.PASS) and link.target not in reached:
                reached[link.target] = None
                queue.append(link.target)
    return tuple(tree.sources[name] for name in reached if name in tree.sources)


def networks(source: Source) -> tuple[tuple[Directive, spf.Network], ...]:
    """The ip4 and ip6 directives in force that result in pass, with their networks."""
    return tuple(
        [
            (term, term.network)
            for term in (source.record.effective if source.record else ())
            if term.network and term.qualifier is Qualifier.PASS
        ]
    )


def ip4_count(tree: Tree) -> int:
    """The number of IPv4 addresses that the ip4 terms of the tree allow, each counted once."""
    spans = sorted(
        (int(network.network_address), network.num_addresses)
        for source in passing(tree)
        for _, network in networks(source)
        if isinstance(network, ipaddress.IPv4Network)
    )
    count = covered_until = 0
    for start, size in spans:
        count += max(start + size - max(start, covered_until), 0)
        covered_until = max(covered_until, start + size)
    return count


async def _read(dns: Resolver, name: str) -> Source:
    if not macros.is_queryable(name):
        return Source(name)
    answer = await dns.resolve(name, "TXT")
    values = [text for text in answer.rdatas if isinstance(text, str)]
    texts = tuple([text for text in values if spf.is_record(text)])
    others = tuple([text for text in values if text not in texts])
    record, problems = None, tuple[spf.Problem, ...]()
    if len(texts) == 1:
        try:
            record = spf.parse_record(texts[0])
        except spf.BadRecord as error:
            problems = error.problems
    links = tuple(_links(name, record)) if record else ()
    return Source(
        name=name,
        texts=texts,
        others=others,
        exists=answer.exists,
        record=record,
        problems=problems,
        links=links,
    )


def _first(question: Question) -> tuple[str, str]:
    """The first query of ``_count``."""
    return question[1], "MX" if question[0] == "mx" else "A"


async def _count(dns: Resolver, question: Question) -> RecordCounts:
    """The number of records that the term yields for the clients of each family."""
    mechanism, name = question
    if mechanism == "exists":  # an A query, for IPv6 clients too (§5.7)
        count = len((await dns.resolve(name, "A")).rdatas)
        return RecordCounts(count, count)
    if mechanism == "a":
        dns.prefetch((name, "AAAA"))
        return RecordCounts(await _addresses(dns, name, "A"), await _addresses(dns, name, "AAAA"))
    hosts = [mx.host for mx in await dns.mx(name) if mx.host]
    queried = hosts[: spf.MAX_NAMES]
    dns.prefetch(*((host, rdtype) for host in queried for rdtype in ("A", "AAAA")))
    counts = [await _addresses(dns, host, kind) for host in queried for kind in ("A", "AAAA")]
    return RecordCounts(len(hosts), len(hosts), max(counts, default=0))


async def _addresses(dns: Resolver, name: str, rdtype: str) -> int:
    return len((await dns.resolve(name, rdtype)).rdatas)


def _questions(source: Source, remaining: int) -> list[Question]:
    """The queries of the first ``remaining`` lookup terms of the record, without those of links."""
    questions = []
    for term in source.record.effective if source.record and source.record.lookups else ():
        remaining -= term.lookups
        if term.lookups and remaining < 0:
            break
        if (question := question_of(source, term)) and macros.is_queryable(question[1]):
            questions.append(question)
    return questions


def question_of(source: Source, term: Directive) -> Question | None:
    """The query of an a, mx or exists term; None for other terms."""
    if term.mechanism not in ("a", "mx", "exists"):
        return None
    name = term.target.name_at(source.name) if term.target else source.name
    mechanism: Literal["a", "mx", "exists"] = term.mechanism  # type: ignore[assignment]  # "in" does not narrow a str
    return (mechanism, name) if name else None


def _links(owner: str, record: spf.Record) -> Iterator[Link]:
    for term in record.effective:
        if term.mechanism == "include" and term.target and (name := term.target.name_at(owner)):
            yield Link(owner=owner, text=term.text, target=name, qualifier=term.qualifier)
    redirect = record.redirect
    if redirect and redirect.target and (name := redirect.target.name_at(owner)):
        yield Link(owner=owner, text=redirect.text, target=name, qualifier=None)


def _not_yet_read(records: Sequence[Source], sources: Mapping[str, Source]) -> list[str]:
    """The targets of links in these records that were not read, each once."""
    targets = dict.fromkeys(link.target for source in records for link in source.links)
    return [name for name in targets if name not in sources]


def own_cost(source: Source) -> int:
    """The lookup terms of the record itself."""
    return source.record.lookups if source.record else 0

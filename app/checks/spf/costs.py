"""The DNS lookups that the evaluation of an SPF record costs at worst (RFC 7208 §4.6.4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.checks.spf.tree import Link, Source, Tree, own_cost, question_of
from app.protocols.spf import Directive, Qualifier

MAX_TERMS = 1000  # followed in the order of evaluation


@dataclass(frozen=True, slots=True)
class Cost:
    """The most lookups that an evaluation can cost, and how many of them return nothing.

    voids  of an IPv4 client
    """

    lookups: int
    voids: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.lookups + other.lookups, self.voids + other.voids)


def costs(tree: Tree) -> Mapping[str, Cost]:
    """The cost of each record with everything below it; a name that is linked twice counts twice.

    tree  must have no loops
    """
    totals: dict[str, Cost] = {}
    _total(tree, tree.root.name, totals)
    return totals


def _total(tree: Tree, name: str, totals: dict[str, Cost]) -> Cost:
    if name not in totals:
        total = Cost(0, 0)
        if source := tree.sources.get(name):
            total += Cost(own_cost(source), _own_voids(source, tree))
        for link in tree.links(name):
            total += _total(tree, link.target, totals)
        totals[name] = total
    return totals[name]


def outline(tree: Tree, cost: Mapping[str, Cost]) -> list[dict[str, Any]]:
    """The includes and redirects as nested JSON; the links of a name are listed only once.

    returns  ``[{term, domain, status, lookups, includes}]``; lookups is None in a tree with loops
    """
    return _below(tree, cost, tree.root.name, {tree.root.name})


def _below(
    tree: Tree, cost: Mapping[str, Cost], name: str, listed: set[str]
) -> list[dict[str, Any]]:
    entries = []
    for link in tree.links(name):
        is_new = link.target not in listed
        listed.add(link.target)
        entries.append(
            {
                "term": link.text,
                "domain": link.target,
                "status": tree.status(link.target),
                "lookups": 1 + cost[link.target].lookups if link.target in cost else None,
                "includes": _below(tree, cost, link.target, listed) if is_new else [],
            }
        )
    return entries


def _own_voids(source: Source, tree: Tree) -> int:
    """The lookups of the record itself that return nothing to an IPv4 client."""
    terms = source.record.effective if source.record else ()
    redirects = [tree.sources.get(link.target) for link in source.links if link.is_redirect]
    return sum(_is_void(source, term, tree, 4) for term in terms) + sum(
        target.is_void for target in redirects if target
    )


def _is_void(source: Source, term: Directive, tree: Tree, version: int) -> bool:
    if term.mechanism == "include":
        target = term.target.name_at(source.name) if term.target else None
        linked = tree.sources.get(target) if target else None
        return linked is not None and linked.is_void
    counts = tree.record_counts.get(question) if (question := question_of(source, term)) else None
    return counts is not None and (counts.ip4 if version == 4 else counts.ip6) == 0


def ip6_voids(tree: Tree) -> int:
    """The most lookups without a result before a term that allows an IPv6 client.

    Without such a term it is 0, because IPv6 clients then get no pass. The tree must have no
    loops; a tree with very many terms is followed for the first MAX_TERMS of them.
    """
    voids = most = steps = 0
    pending = [(tree.root, iter(_in_order(tree.root)))]
    while pending and (steps := steps + 1) < MAX_TERMS:
        source, terms = pending[-1]
        term = next(terms, None)
        if term is None:
            pending.pop()
            continue
        if isinstance(term, Link):
            if linked := tree.sources.get(term.target):
                voids += linked.is_void
                pending.append((linked, iter(_in_order(linked))))
            continue
        voids += _is_void(source, term, tree, 6)
        if _allows_ip6(source, term, tree):
            most = voids
    return most


def _in_order(source: Source) -> list[Directive | Link]:
    """The terms in the order of their evaluation, with links in place of includes."""
    links = {link.text: link for link in source.links}
    terms = source.record.effective if source.record else ()
    redirect = [link for link in source.links if link.is_redirect]
    return [*(links.get(term.text, term) for term in terms), *redirect]


def _allows_ip6(source: Source, term: Directive, tree: Tree) -> bool:
    if term.qualifier is not Qualifier.PASS:
        return False
    if term.network is not None:
        return term.network.version == 6
    counts = tree.record_counts.get(question) if (question := question_of(source, term)) else None
    return counts is not None and term.mechanism == "a" and counts.ip6 > 0

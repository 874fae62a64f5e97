"""The terms of a domain's SPF record that authorize an address, from its last scan."""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any

from app.protocols import spf

MAX_ADDRESSES = 10_000  # that a record remembers
_SIZES = {AF_INET: (4, 32), AF_INET6: (6, 128)}  # version, bits of an address


@dataclass(frozen=True, slots=True)
class Term:
    """A term of the domain's own record.

    domain   the target of an include or redirect; None for other terms
    is_open  it may authorize addresses that the scan did not resolve: mx, exists, ptr, macros
    """

    text: str
    domain: str | None
    is_open: bool


class SpfPaths:
    """The SPF record of one domain, indexed by address.

    terms  the terms that authorize addresses, in order
    """

    def __init__(self, domain: str, records: Iterable[Mapping[str, Any]]) -> None:
        self._answers = {(record["name"], record["type"]): record["values"] for record in records}
        self._authorizing: dict[str, tuple[Term, ...]] = {}  # a cache
        self._by_network: dict[tuple[int, int], dict[int, list[int]]] = {}
        self.domain = domain
        self.terms: tuple[Term, ...] = tuple(self._read(domain))
        self._tables = {
            family: [
                (size - bits, networks)
                for (version, bits), networks in self._by_network.items()
                if version == family_version
            ]
            for family, (family_version, size) in _SIZES.items()
        }

    @classmethod
    def from_result(cls, domain: str, result: Mapping[str, Any] | None) -> "SpfPaths | None":
        """Return the record in the last definite result of check ``spf``; None if there is none."""
        if not result or not result["facts"].get("record"):
            return None
        return cls(domain, result["records"])

    def authorizing(self, address: str) -> tuple[Term, ...]:
        """Return the terms that are known to authorize the address."""
        terms = self._authorizing.get(address)
        if terms is None:
            if len(self._authorizing) >= MAX_ADDRESSES:
                self._authorizing.clear()
            terms = self._authorizing[address] = self._find(address)
        return terms

    def _find(self, address: str) -> tuple[Term, ...]:
        family = AF_INET6 if ":" in address else AF_INET
        number = int.from_bytes(inet_pton(family, address))  # ten times as fast as ipaddress
        indexes: list[int] = []
        for shift, networks in self._tables[family]:
            indexes += networks.get(number >> shift, ())
        if not indexes:
            return ()
        if len(indexes) > 1:
            indexes = sorted(set(indexes))
        return tuple([self.terms[index] for index in indexes])

    def _read(self, domain: str) -> Iterator[Term]:
        for index, (term, owner) in enumerate(self._passing(domain)):
            target = _name(term, owner) if term.mechanism == "include" else None
            yield Term(term.text, target, self._collect(term, owner, index, set()))

    def _passing(self, name: str) -> Iterator[tuple[spf.Directive, str]]:
        """The directives with result pass, and the name of their record, following redirects."""
        seen = set[str]()
        while name not in seen and (record := self._record(name)):
            seen.add(name)
            for term in record.effective:
                if term.qualifier is spf.Qualifier.PASS and term.mechanism != "all":
                    yield term, name
            redirect = record.redirect
            name = (redirect and redirect.target and redirect.target.name_at(name)) or ""

    def _collect(self, term: spf.Directive, owner: str, index: int, seen: set[str]) -> bool:
        """Index the networks of the term; returns whether it may have others."""
        if term.network:
            self._add_network(term.network, index)
            return False
        name = _name(term, owner)
        if term.mechanism == "a" and name:
            return self._addresses(name, term, index)
        if term.mechanism != "include" or name is None:
            return True
        if name in seen:
            return False
        seen.add(name)
        are_open = [
            self._collect(inner, holder, index, seen) for inner, holder in self._passing(name)
        ]
        return any(are_open) or self._record(name) is None

    def _addresses(self, name: str, term: spf.Directive, index: int) -> bool:
        for kind, bits in (("A", term.cidr4), ("AAAA", term.cidr6)):
            for address in self._answers.get((name, kind), ()):
                self._add_network(ipaddress.ip_network(f"{address}/{bits}", strict=False), index)
        return (name, "AAAA") not in self._answers

    def _add_network(self, network: spf.Network, index: int) -> None:
        bits = network.prefixlen
        first = int(network.network_address) >> (network.max_prefixlen - bits)
        networks = self._by_network.setdefault((network.version, bits), {})
        networks.setdefault(first, []).append(index)

    def _record(self, name: str) -> spf.Record | None:
        texts = [text for text in self._answers.get((name, "TXT"), ()) if spf.is_record(text)]
        if len(texts) != 1:
            return None
        return _parsed(texts[0])


@lru_cache(maxsize=512)
def _parsed(text: str) -> spf.Record | None:
    try:
        return spf.parse_record(text)
    except spf.BadRecord:
        return None


def _name(term: spf.Directive, owner: str) -> str | None:
    return term.target.name_at(owner) if term.target else owner

"""The DMARC records of a name and of the names above it, queried together (RFC 9989 §4.10)."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.ports.dns import Resolver
from app.protocols import dmarc, names
from app.protocols.dmarc import Record, discovery
from app.protocols.dmarc.discovery import Discovery
from app.protocols.names import DomainName


@dataclass(frozen=True, slots=True)
class Walk:
    """The TXT values at each ``_dmarc`` name from ``start`` up to where the walk ends.

    texts    the TXT values by domain, without ``_dmarc``, ``start`` first
    records  the sole record of each name that has one
    """

    start: DomainName
    texts: Mapping[DomainName, tuple[str, ...]]
    records: Mapping[str, Record]

    @property
    def org_domain(self) -> DomainName:
        """The Organizational Domain of ``start`` (§4.10.2)."""
        return discovery.organizational_domain(self.start, self.records)

    def text_at(self, name: DomainName) -> str:
        """The record's text at a name of ``records``."""
        return next(text for text in self.texts[name] if dmarc.is_record(text))


async def walk(start: DomainName, dns: Resolver) -> Walk:
    """The result of the DNS tree walk from ``start``.

    raises  LookupFailed if a name below the end of the walk cannot be queried; names above it do
            not matter
    """
    queried = names.walk(start)
    dns.prefetch(*((f"_dmarc.{name}", "TXT") for name in queried))
    texts: dict[DomainName, tuple[str, ...]] = {}
    records: dict[str, Record] = {}
    for name in queried:
        texts[name] = values = await dns.txt(f"_dmarc.{name}")
        if record := dmarc.sole_record(values):
            records[name] = record
        if discovery.ends_walk(record):
            break
    return Walk(start, texts, records)


async def discover(tree: Walk, dns: Resolver) -> Discovery:
    """The record that applies to ``tree.start``, and the policy that it requests (§4.10.1)."""
    records = tree.records
    exists = tree.start in records or await dns.exists(tree.start)
    return discovery.discover(tree.start, records, exists=exists)

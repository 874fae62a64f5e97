"""The zones of a directory of master files, and lookups in them (RFC 1034 §4.3.2)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dns.name
import dns.node
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import dns.zone
from dns.name import Name
from dns.rcode import Rcode
from dns.rdatatype import RdataType

MAX_ALIASES = 11
IN = dns.rdataclass.IN
# Names outside all zones of the directory are denied by an otherwise empty root zone.
BARE_ROOT = "@ 300 IN SOA . . 1 3600 900 1209600 300\n@ 300 IN NS localhost."


@dataclass(slots=True)
class Lookup:
    """The answer to one query, after following aliases.

    zones  all zones that contributed to it
    """

    rcode: Rcode = Rcode.NOERROR
    answer: list[dns.rrset.RRset] = field(default_factory=list)
    authority: list[dns.rrset.RRset] = field(default_factory=list)
    zones: set[Name] = field(default_factory=set)


class Zones:
    """All zones of a directory: ``<apex>.zone``, or ``<apex>.zone.signed`` if it exists."""

    def __init__(self, directory: Path) -> None:
        self._zones = dict(_read(directory))
        self._zones.setdefault(
            dns.name.root, dns.zone.from_text(BARE_ROOT, dns.name.root, relativize=False)
        )
        # An apex makes all names above it exist, up to the root (RFC 8020).
        owners = {owner for zone in self._zones.values() for owner in zone.nodes}
        self._names = {above for owner in owners for above in _upwards(owner)}

    def __len__(self) -> int:
        return len(self._zones)

    def find(self, name: Name, rdtype: RdataType, *, signatures: bool = False) -> Lookup:
        """Return the answer of a resolver; SERVFAIL for lame delegations and alias loops."""
        lookup, owner = Lookup(), name.canonicalize()
        for _ in range(MAX_ALIASES + 1):
            alias = self._step(lookup, owner, rdtype, signatures)
            if alias is None:
                return lookup
            owner = alias
        return Lookup(Rcode.SERVFAIL, zones=lookup.zones)

    def apex(self, name: Name, rdtype: RdataType) -> Name:
        """Return the zone that answers this query; DS belongs to the parent (RFC 4035 §3.1.4.1)."""
        if rdtype == RdataType.DS and name != dns.name.root and name in self._zones:
            name = name.parent()
        return next(above for above in _upwards(name) if above in self._zones)

    def _step(
        self, lookup: Lookup, owner: Name, rdtype: RdataType, signatures: bool
    ) -> Name | None:
        """Add the records of one name; return the next name if this one is an alias."""
        apex = self.apex(owner, rdtype)
        zone = self._zones[apex]
        lookup.zones.add(apex)
        if self._is_lame(zone, apex, owner, rdtype):
            lookup.rcode = Rcode.SERVFAIL
            return None
        source = self._source(zone, owner)
        if source is None:
            lookup.rcode = Rcode.NXDOMAIN
            lookup.authority = [_soa(zone, apex)]
            return None
        node = zone.nodes.get(source)
        alias = node and node.get_rdataset(IN, RdataType.CNAME)
        if alias and rdtype not in (RdataType.CNAME, RdataType.ANY, RdataType.NSEC):
            lookup.answer += _rrsets(owner, node, RdataType.CNAME, signatures)
            return alias[0].target.canonicalize()  # type: ignore[no-any-return]
        rrsets = list(_rrsets(owner, node, rdtype, signatures))
        lookup.answer += rrsets
        if not rrsets:
            lookup.authority = [_soa(zone, apex)]
        return None

    def _is_lame(self, zone: dns.zone.Zone, apex: Name, name: Name, rdtype: RdataType) -> bool:
        """Whether the name is delegated to servers that do not exist here."""
        for above in _upwards(name):
            if above == apex:
                return False
            node = zone.nodes.get(above)
            if node and node.get_rdataset(IN, RdataType.NS):
                return not (above == name and rdtype == RdataType.DS)
        return False

    def _source(self, zone: dns.zone.Zone, name: Name) -> Name | None:
        """Return the name or the wildcard that answers for it (RFC 4592 §3.3.1), else None."""
        if name in self._names:
            return name
        encloser = next(above for above in _upwards(name) if above in self._names)
        wildcard = dns.name.Name((b"*", *encloser.labels))
        return wildcard if wildcard in zone.nodes else None


def _read(directory: Path) -> Iterator[tuple[Name, dns.zone.Zone]]:
    for path in sorted(directory.glob("*.zone")):
        apex = dns.name.root if path.stem == "root" else dns.name.from_text(path.stem)
        signed = path.with_name(f"{path.name}.signed")
        path = signed if signed.exists() else path
        yield apex, dns.zone.from_file(str(path), apex, relativize=False)


def _upwards(name: Name) -> Iterator[Name]:
    while name != dns.name.root:
        yield name
        name = name.parent()
    yield name


def _rrsets(
    owner: Name, node: dns.node.Node | None, rdtype: RdataType, signatures: bool
) -> Iterator[dns.rrset.RRset]:
    """Return the sets of this type (ANY: all types), each with its signatures if requested."""
    for rdataset in node or ():
        type_ = rdataset.covers if rdataset.rdtype == RdataType.RRSIG else rdataset.rdtype
        is_requested = rdataset.rdtype == rdtype or rdtype == RdataType.ANY
        if is_requested or (signatures and type_ == rdtype):
            yield dns.rrset.from_rdata_list(owner, rdataset.ttl, list(rdataset))


def _soa(zone: dns.zone.Zone, apex: Name) -> dns.rrset.RRset:
    """Return the SOA of a negative answer, with the negative caching TTL (RFC 2308 §3)."""
    rdataset = zone.nodes[apex].get_rdataset(IN, RdataType.SOA)
    if rdataset is None:  # dns.zone refuses a zone without SOA
        raise ValueError(f"{apex} has no SOA")
    ttl = min(rdataset.ttl, rdataset[0].minimum)
    return dns.rrset.from_rdata(apex, ttl, rdataset[0])

"""Draft records of a whole domain: a zone that replaces it, or changes of single record sets.

A draft says which records a name has once it is published. ``PlannedResolver`` answers from it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.ports.dns import Answer, Caa, LookupFailed, Mx, Rdata, Resolver, Soa, Tlsa, or_failure
from app.protocols.zone_files import Action, ZoneRecord

# The server that signs the zone makes these; a draft does not say what they become.
SIGNING_TYPES = frozenset(
    ("DNSKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "CDS", "CDNSKEY", "ZONEMD")
)
APEX_TYPES = frozenset(("SOA", "NS"))  # often managed by the DNS provider, and not in the file
SIBLING = "no-such-name-here"  # if it has the same records as a name, a wildcard answers for both


class DraftNode(NamedTuple):
    """What one name has of one type once the draft is published.

    alias  the target of its CNAME record
    """

    exists: bool
    rdatas: tuple[Rdata, ...] = ()
    alias: str | None = None
    ttl: int = 0


class Draft(ABC):
    """Draft records at or below one domain."""

    def __init__(self, domain: str) -> None:
        self.domain = domain

    @abstractmethod
    def concerns(self, name: str) -> bool:
        """Return whether the draft may change the records of the name."""

    @abstractmethod
    async def node(self, name: str, rdtype: str, published: Resolver) -> DraftNode | None:
        """Return what the name has; None if its records stay those that are published.

        raises  LookupFailed if that depends on published records which cannot be looked up
        """

    def _is_within(self, name: str) -> bool:
        return name == self.domain or name.endswith(f".{self.domain}")


class ZoneDraft(Draft):
    """A zone that replaces all records of the domain and of the names below it.

    Names below a delegation keep their published records, and so do the records that the zone has
    not: the SOA and NS records of its apex, and the records of DNSSEC.
    """

    def __init__(self, domain: str, records: Iterable[ZoneRecord]) -> None:
        super().__init__(domain)
        self._sets: dict[tuple[str, str], list[ZoneRecord]] = {}
        self._names = {domain}
        self._cuts = set[str]()
        for record in records:
            if record.type in SIGNING_TYPES:
                continue
            self._sets.setdefault((record.name, record.type), []).append(record)
            if record.type == "NS" and record.name != domain:
                self._cuts.add(record.name)
            self._names.update(_upwards(record.name, domain))

    def concerns(self, name: str) -> bool:
        """Return whether the name is in the zone, and not delegated."""
        return self._is_within(name) and self._cuts.isdisjoint(_upwards(name, self.domain))

    async def node(self, name: str, rdtype: str, published: Resolver) -> DraftNode | None:
        if not self.concerns(name) or rdtype in SIGNING_TYPES or rdtype == "DS":
            return None
        if name == self.domain and rdtype in APEX_TYPES and (name, rdtype) not in self._sets:
            return None
        source = self._source(name)
        if source is None:
            return DraftNode(exists=False)
        records = self._sets.get((source, rdtype), ())
        aliases = self._sets.get((source, "CNAME"), ())
        return DraftNode(
            exists=True,
            rdatas=tuple(map(rdata, records)),
            alias=aliases[0].fields[0] if aliases else None,
            ttl=min((record.ttl for record in (*records, *aliases)), default=0),
        )

    def _source(self, name: str) -> str | None:
        """The name, or the wildcard that answers for it (RFC 4592 §3.3.1); None: it has none."""
        if name in self._names:
            return name
        encloser = next(above for above in _upwards(name, self.domain) if above in self._names)
        wildcard = f"*.{encloser}"
        return wildcard if wildcard in self._names else None


@dataclass(frozen=True, slots=True)
class Edit:
    """The change of one record set.

    records  what is added, replaces the set, or is removed; for ``remove`` without records, all
    at       where the change was requested, for error messages
    """

    action: Action
    name: str
    type: str
    records: tuple[ZoneRecord, ...] = ()
    at: str = ""


class EditedZone(Draft):
    """Changes of record sets; everything else stays as it is published."""

    def __init__(self, domain: str, edits: Iterable[Edit]) -> None:
        super().__init__(domain)
        self.edits = tuple(edits)
        self._sets: dict[tuple[str, str], list[Edit]] = {}
        for edit in self.edits:
            self._sets.setdefault((edit.name, edit.type), []).append(edit)
        self._names = {name for name, _ in self._sets}
        new = {edit.name for edit in self.edits if edit.action != "remove"}
        self._new = new
        self._above = {above for name in new for above in _upwards(name, domain)}

    def concerns(self, name: str) -> bool:
        """Return whether a record set of the name changes, or one below it."""
        return name in self._names or name in self._above

    async def node(self, name: str, rdtype: str, published: Resolver) -> DraftNode | None:
        if not self.concerns(name) or rdtype in SIGNING_TYPES:
            return None
        answer = await self._owned(name, rdtype, published)
        alias = answer.aliases[:1] or (answer.rdatas if rdtype == "CNAME" else ())
        rdatas = () if answer.aliases and rdtype != "CNAME" else answer.rdatas
        edits = self._sets.get((name, rdtype), ())
        new_aliases = _edited(alias, self._sets.get((name, "CNAME"), ()))
        new = new_aliases if rdtype == "CNAME" else _edited(rdatas, edits)
        is_gone = bool(alias) and not new_aliases  # a name with an alias has no other records
        exists = name in self._above or (answer.exists and not is_gone)
        return DraftNode(
            exists=exists,
            rdatas=new,
            alias=str(new_aliases[0]) if new_aliases else None,
            ttl=min((record.ttl for edit in edits for record in edit.records), default=answer.ttl),
        )

    async def unmatched(self, published: Resolver) -> list[Edit]:
        """Return the edits that remove a record which is not published.

        An edit is not returned if the records cannot be looked up.
        """
        missing = []
        for edit in self.edits:
            if edit.action != "remove" or self._sets[edit.name, edit.type][0].action != "remove":
                continue
            answer = await or_failure(self._owned(edit.name, edit.type, published))
            if isinstance(answer, LookupFailed):
                continue
            is_alias = edit.type == "CNAME"
            present = answer.aliases[:1] if is_alias and answer.aliases else answer.rdatas
            if answer.aliases and not is_alias:
                present = ()
            removed = set(map(rdata, edit.records))
            if not present or not removed <= set(present):
                missing.append(edit)
        return missing

    async def _owned(self, name: str, rdtype: str, published: Resolver) -> Answer:
        """The published answer, without records that the name has only by a wildcard."""
        answer = await published.resolve(name, rdtype)
        if name not in self._new or not (answer.rdatas or answer.aliases):
            return answer
        sibling = f"{SIBLING}.{name.partition('.')[2]}"
        by_wildcard = await published.resolve(sibling, rdtype)
        if (by_wildcard.rdatas, by_wildcard.aliases) == (answer.rdatas, answer.aliases):
            return answer._replace(rdatas=(), aliases=())
        return answer


def rdata(record: ZoneRecord) -> Rdata:
    """Return the data of the record as an answer has it."""
    fields = record.fields
    match record.type:
        case "MX":
            return Mx(int(fields[0]), fields[1])
        case "SOA":
            return Soa(
                mname=fields[0], rname=fields[1], serial=int(fields[2]), minimum=int(fields[6])
            )
        case "TLSA":
            return Tlsa(
                usage=int(fields[0]),
                selector=int(fields[1]),
                matching=int(fields[2]),
                data=fields[3],
            )
        case "CAA":
            return Caa(int(fields[0]), fields[1], fields[2])
    return " ".join(fields)


def _edited(before: Sequence[Rdata], edits: Sequence[Edit]) -> tuple[Rdata, ...]:
    values = list(before)
    for edit in edits:
        named = list(map(rdata, edit.records))
        if edit.action == "replace":
            values = named
        elif edit.action == "add":
            values += [value for value in named if value not in values]
        else:
            values = [value for value in values if named and value not in named]
    return tuple(values)


def _upwards(name: str, domain: str) -> list[str]:
    """The name and the names above it, up to the domain; none for a name outside it."""
    above = []
    while name != domain and name:
        above.append(name)
        name = name.partition(".")[2]
    return [*above, domain] if name else []

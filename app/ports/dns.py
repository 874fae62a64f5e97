"""DNS answers as values, and the interface of the resolver.

An answer is definite: it has records, or there are none. Every other case raises ``LookupFailed``.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar


class LookupFailed(Exception):
    """DNS or a server could not be queried, or did not answer. It is never a finding.

    reason  ``servfail``, ``refused``, ``timeout``, ``budget``, ``network``, ``garbage``,
            ``unvalidated`` (the resolver does not confirm that it validated signed records),
            ``unpublished`` (the address of the server is only in a draft), or for a direct query to
            a name server a failure of ``Page`` or ``truncated``
    """

    def __init__(self, name: str, rdtype: str, reason: str) -> None:
        super().__init__(f"{name} {rdtype}: {reason}")
        self.name, self.rdtype, self.reason = name, rdtype, reason


@dataclass(frozen=True, slots=True)
class Mx:
    """One MX record; ``host`` is lower-case, no final dot; ``""`` is the null MX (RFC 7505)."""

    preference: int
    host: str

    def __str__(self) -> str:
        return f"{self.preference} {self.host}."


@dataclass(frozen=True, slots=True)
class Soa:
    """The SOA fields that the checks need (RFC 1035 §3.3.13)."""

    mname: str
    rname: str
    serial: int
    minimum: int

    def __str__(self) -> str:
        return f"{self.mname}. {self.rname}. {self.serial}"


@dataclass(frozen=True, slots=True)
class Tlsa:
    """One TLSA record (RFC 6698 §2.1); ``data`` in lower-case hexadecimal."""

    usage: int
    selector: int
    matching: int
    data: str

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching} {self.data}"


@dataclass(frozen=True, slots=True)
class Caa:
    """One CAA record (RFC 8659 §4.1)."""

    flags: int
    tag: str
    value: str

    def __str__(self) -> str:
        return f'{self.flags} {self.tag} "{self.value}"'


class Signature(NamedTuple):
    """The validity period of an RRSIG, in epoch seconds (RFC 4034 §3.1.5).

    covered  the number of the record type that it signs
    """

    covered: int
    begins: int
    ends: int


# TXT: the character-strings joined (undecodable bytes as \xNN); A, AAAA: the address; NS, CNAME and
# PTR: a host name, lower-case, no final dot; any other type: its presentation format.
Rdata = str | Mx | Soa | Tlsa | Caa


class Answer(NamedTuple):
    """One definite answer of DNS: the records, or that there are none.

    rcode          ``NOERROR`` or ``NXDOMAIN``; anything else raises ``LookupFailed``
    aliases        the CNAME chain that was followed; the last one is the owner of ``rdatas``
    rdatas         empty for NXDOMAIN and for NODATA
    ttl            seconds, the lowest in the answer (of the SOA for a negative answer)
    authenticated  the AD bit, as the resolver set it
    signatures     the RRSIGs of ``rdatas``; requested with SOA, NS and DNSKEY only
    """

    name: str
    rdtype: str
    rcode: Literal["NOERROR", "NXDOMAIN"]
    rdatas: tuple[Rdata, ...] = ()
    aliases: tuple[str, ...] = ()
    ttl: int = 0
    authenticated: bool = False
    signatures: tuple[Signature, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether the name exists, even as an empty non-terminal (RFC 8020; RFC 9989 §3.2.13)."""
        return self.rcode == "NOERROR"


class ServerAnswer(NamedTuple):
    """The answer of one name server that was queried directly.

    rcode          ``NOERROR``, ``NXDOMAIN``, ``REFUSED``, ``SERVFAIL`` … or its number
    authoritative  the AA bit: the server serves the zone
    rdatas         the records of the queried name and type
    """

    server: str
    rcode: str
    authoritative: bool
    rdatas: tuple[Rdata, ...] = ()


class Resolver(ABC):
    """A DNS resolver. Errors and timeouts raise ``LookupFailed``.

    query_count  the number of queries sent to the network so far
    """

    query_count: int = 0

    @abstractmethod
    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        """The definite answer for (name, rdtype); up to 8 CNAMEs are followed."""

    async def query_server(self, server: str, name: str, rdtype: str) -> ServerAnswer:
        """The answer of the name server, queried directly at its public address."""
        raise LookupFailed(f"{name}@{server}", rdtype, "network")

    def prefetch(self, *questions: tuple[str, str]) -> None:  # noqa: B027 - an optional optimization
        """Send the queries for these (name, type) pairs now; ``resolve`` waits for the answers.

        So a check needs no task for each query. This method never raises; ``resolve`` does.
        """

    async def txt(self, name: str) -> tuple[str, ...]:
        """The TXT values at the name, with the strings of each record joined (RFC 7208 §3.3)."""
        rdatas = (await self.resolve(name, "TXT")).rdatas
        return tuple([text for text in rdatas if isinstance(text, str)])

    async def mx(self, name: str) -> tuple[Mx, ...]:
        """The MX records, most preferred first, then by name."""
        records = [mx for mx in (await self.resolve(name, "MX")).rdatas if isinstance(mx, Mx)]
        return tuple(sorted(records, key=lambda mx: (mx.preference, mx.host)))

    async def hosts(self, name: str, rdtype: Literal["NS", "CNAME", "PTR"]) -> tuple[str, ...]:
        """The host names that records of this type point to, sorted."""
        rdatas = (await self.resolve(name, rdtype)).rdatas
        return tuple(sorted([host for host in rdatas if isinstance(host, str)]))

    async def exists(self, name: str) -> bool:
        """Whether the name exists: False for NXDOMAIN only (RFC 9989 §3.2.13)."""
        return (await self.resolve(name, "A")).exists


T = TypeVar("T")


async def or_failure(part: Awaitable[T]) -> "T | LookupFailed":
    """The result of ``part``, or why it could not be queried, for parts with separate findings."""
    try:
        return await part
    except LookupFailed as error:
        return error

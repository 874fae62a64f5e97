"""What DNS and policy servers can answer, as values, and the door through which checks ask for it.

An answer is definite: there is this, or there is nothing. Whatever is neither is ``Undetermined``.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar


class Undetermined(Exception):
    """DNS or a server could not be asked, or would not say. It is never a finding.

    reason  ``servfail``, ``refused``, ``timeout``, ``budget``, ``network``, ``garbage``,
            ``unvalidated`` (the resolver does not say that it has validated what is signed), or
            of a name server that is asked itself a failure of ``Page`` or ``truncated``
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
    """The SOA fields that anybody here needs (RFC 1035 §3.3.13)."""

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
    """When an RRSIG begins and ends to hold, in epoch seconds (RFC 4034 §3.1.5).

    covered  the number of the type that it is over
    """

    covered: int
    begins: int
    ends: int


# TXT: the character-strings joined (undecodable bytes as \xNN); A, AAAA: the address; NS, CNAME and
# PTR: a host name, lower-case, no final dot; any other type: its presentation format.
Rdata = str | Mx | Soa | Tlsa | Caa


class Answer(NamedTuple):
    """One definite answer of DNS: what there is, or that there is nothing.

    rcode          ``NOERROR`` or ``NXDOMAIN``; anything else was raised as ``Undetermined``
    aliases        the CNAME chain followed, the last one being the owner of ``rdatas``
    rdatas         empty for NXDOMAIN and for NODATA
    ttl            seconds, the least in the answer (of the SOA for a negative one)
    authenticated  the AD bit, as the resolver set it
    signatures     those over ``rdatas``; asked for with SOA, NS and DNSKEY only
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
        """The name exists, if only as an empty non-terminal (RFC 8020; RFC 9989 §3.2.13)."""
        return self.rcode == "NOERROR"


class ServerAnswer(NamedTuple):
    """What one name server says itself, without asking others.

    rcode          ``NOERROR``, ``NXDOMAIN``, ``REFUSED``, ``SERVFAIL`` … or its number
    authoritative  the AA bit: it serves the zone
    rdatas         of the name and type in question
    """

    server: str
    rcode: str
    authoritative: bool
    rdatas: tuple[Rdata, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What to send; the Host and framing headers are added to it. Checks only ever GET."""

    method: Literal["GET", "POST"] = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One definite answer to an HTTPS request.

    status          the HTTP status; 0 if there was none
    failure         ``None``, or why nothing was read: ``tls`` (certificate; see ``detail``),
                    ``redirect``, ``too_large``, ``refused_address`` (not public), ``no_address``
    not_after       end of the server's certificate, RFC 3339, where the handshake got that far
    retry_after     the header of that name
    """

    url: str
    status: int = 0
    content_type: str = ""
    body: bytes = b""
    failure: str | None = None
    detail: str = ""
    not_after: str | None = None
    retry_after: str = ""


class Handshake(NamedTuple):
    """What a mail host said of TLS.

    version    ``TLSv1.2``, ``TLSv1.3``
    trouble    ``version`` (nothing newer than TLS 1.1), ``expired``, ``host_mismatch``,
               ``weak_key``, ``weak_signature``, ``key_usage`` or ``untrusted``; ``detail`` has the
               words of the library
    not_after  end of a certificate without trouble, RFC 3339
    """

    host: str
    offers_tls: bool
    version: str | None = None
    trouble: str | None = None
    detail: str = ""
    not_after: str | None = None


class Answers(ABC):
    """The one door of a check to the outside. Errors and time-outs raise ``Undetermined``.

    query_count  questions that went out on the network so far
    """

    query_count: int = 0

    @abstractmethod
    async def ask(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        """The definite answer for (name, rdtype); CNAMEs are followed, to 8 hops."""

    @abstractmethod
    async def fetch(self, host: str, path: str, request: Request | None = None) -> Page:
        """``GET https://host/path`` through the SSRF-safe door; no redirect is followed.

        request  what to send instead
        """

    async def ask_server(self, server: str, name: str, rdtype: str) -> ServerAnswer:
        """What the name server itself says, asked directly at its public address."""
        raise Undetermined(f"{name}@{server}", rdtype, "network")

    async def shake_hands(self, host: str) -> Handshake:
        """What the mail host says of TLS, by connecting to it; checks are given what was seen."""
        raise Undetermined(host, "SMTP", "network")

    def ask_ahead(self, *questions: tuple[str, str]) -> None:  # noqa: B027 - saves time, no more
        """Have these (name, type) asked at once, for ``ask`` to wait for one after another.

        So a check needs no task for each of its questions. It never raises: ``ask`` says what
        became of a question.
        """

    async def txt(self, name: str) -> tuple[str, ...]:
        """The TXT values at the name, each RR's strings joined (RFC 7208 §3.3)."""
        return tuple(text for text in (await self.ask(name, "TXT")).rdatas if isinstance(text, str))

    async def mx(self, name: str) -> tuple[Mx, ...]:
        """The MX records, best preference first, then by name."""
        found = [mx for mx in (await self.ask(name, "MX")).rdatas if isinstance(mx, Mx)]
        return tuple(sorted(found, key=lambda mx: (mx.preference, mx.host)))

    async def hosts(self, name: str, rdtype: Literal["NS", "CNAME", "PTR"]) -> tuple[str, ...]:
        """The host names that records of this type point to, sorted."""
        found = (await self.ask(name, rdtype)).rdatas
        return tuple(sorted(host for host in found if isinstance(host, str)))

    async def exists(self, name: str) -> bool:
        """False for NXDOMAIN only (RFC 9989 §3.2.13)."""
        return (await self.ask(name, "A")).exists


T = TypeVar("T")
OpenAnswers = Callable[[], Answers]


async def or_unseen(part: Awaitable[T]) -> "T | Undetermined":
    """What ``part`` gives, or why it could not be seen: for parts that are judged one by one."""
    try:
        return await part
    except Undetermined as error:
        return error


class Door(ABC):
    """Where ``Answers`` come from: the network of this process, or a dictionary in tests."""

    @abstractmethod
    def run(self, main: Callable[[OpenAnswers], Coroutine[Any, Any, T]]) -> T:
        """What ``main`` returns, run to its end in an event loop of its own.

        main  is given a function that opens ``Answers``: one call a scan, each with a budget of its
              own, all sharing what is under way and what was heard
        """

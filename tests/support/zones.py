"""``Zone``: Answers from a dictionary instead of DNS and policy servers.

    Zone({
        "example.org": ["v=spf1 mx -all"],                  # a plain name: its TXT records
        ("example.org", "MX"): ["10 mx.example.org"],       # or Mx(10, "mx.example.org")
        ("mx.example.org", "A"): ["192.0.2.1"],
        ("www.example.org", "CNAME"): ["mx.example.org"],
        ("*.wild.example.org", "TXT"): ["any name below"],  # RFC 4592
        ("slow.example.org", "A"): TIMEOUT,                 # only this query fails
        "broken.example.org": SERVFAIL,                     # every query for the name fails
    })

A name that is in no key and has no key below it does not exist (NXDOMAIN); one that only has names
below it is an empty non-terminal and exists (RFC 8020). Names are compared without case and final
dot. ``zone.asked`` lists the queries in order.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import dns.zone

from app.network.session import blocking_client
from app.ports.dns import (
    Answer,
    Caa,
    LookupFailed,
    Mx,
    Rdata,
    ServerAnswer,
    Signature,
    Soa,
    Tlsa,
)
from app.ports.http import Page, Request
from app.ports.network import Fetch, Network, NetworkSession, SessionFactory, T

MAX_ALIASES = 8


class Failure(Enum):
    """A DNS failure; NXDOMAIN denies a name although it has others below it."""

    SERVFAIL = "servfail"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    BUDGET = "budget"
    NXDOMAIN = "nxdomain"


SERVFAIL, TIMEOUT, REFUSED = Failure.SERVFAIL, Failure.TIMEOUT, Failure.REFUSED
BUDGET, NXDOMAIN = Failure.BUDGET, Failure.NXDOMAIN

Data = Mapping[str | tuple[str, str], Sequence[Rdata] | Failure]


class Zone(NetworkSession):
    """Answers from ``data`` (see the module) and ``pages``, keyed ``(host, path)``.

    signatures  the RRSIGs of the records, by (name, type)
    servers     the direct answers of name servers, by (server, type); others do not answer
    budget      the number of queries after which every further one raises ``LookupFailed``
    """

    def __init__(
        self,
        data: Data,
        pages: Mapping[tuple[str, str], Page | Failure] | None = None,
        *,
        authenticated: bool = False,
        signatures: Mapping[tuple[str, str], Sequence[Signature]] | None = None,
        servers: Mapping[tuple[str, str], ServerAnswer] | None = None,
        budget: int | None = None,
    ) -> None:
        self._servers = servers or {}
        self._signatures = signatures or {}
        self.asked: list[tuple[str, str]] = []
        self._pages = pages or {}
        self._authenticated = authenticated
        self._budget = budget
        self._sets: dict[tuple[str, str], tuple[Rdata, ...]] = {}
        self._failures: dict[tuple[str, str], Failure] = {}
        self._names: set[str] = set()
        for key, values in data.items():
            self._add(key, values)

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        self.asked.append((name, rdtype))
        if self._budget is not None and len(self.asked) > self._budget:
            raise LookupFailed(name, rdtype, "budget")
        owner, aliases = _plain(name), []
        while alias := self._alias(owner, rdtype):
            aliases.append(alias)
            owner = alias
            if len(aliases) > MAX_ALIASES:
                raise LookupFailed(name, rdtype, "garbage")
        source = self._source(owner)
        failure = self._failures.get((source, rdtype), self._failures.get((source, "")))
        if failure not in (None, NXDOMAIN):
            raise LookupFailed(name, rdtype, failure.value)
        return Answer(
            name=name,
            rdtype=rdtype,
            rcode="NOERROR" if source in self._names and failure is None else "NXDOMAIN",
            rdatas=() if failure else self._sets.get((source, rdtype), ()),
            aliases=tuple(aliases),
            ttl=300,
            authenticated=self._authenticated,
            signatures=tuple(self._signatures.get((source, rdtype), ())),
        )

    async def query_server(self, server: str, name: str, rdtype: str) -> ServerAnswer:
        self.asked.append((f"{name}@{server}", rdtype))
        if answer := self._servers.get((server, rdtype)):
            return answer
        raise LookupFailed(f"{name}@{server}", rdtype, "timeout")

    async def fetch(self, host: str, path: str, request: Request | None = None) -> Page:
        self.asked.append((f"https://{host}{path}", "HTTPS"))
        url = f"https://{host}{path}"
        page = self._pages.get((host, path), Page(url, failure="no_address"))
        if isinstance(page, Failure):
            raise LookupFailed(host, "HTTPS", page.value)
        return page

    def _add(self, key: str | tuple[str, str], values: Sequence[Rdata] | Failure) -> None:
        name, rdtype = (key, "TXT") if isinstance(key, str) else key
        name = _plain(name)
        labels = name.split(".")
        self._names.update(".".join(labels[index:]) for index in range(len(labels)))
        if isinstance(values, Failure):
            self._failures[(name, "" if isinstance(key, str) else rdtype)] = values
        else:
            self._sets[(name, rdtype)] = tuple(_rdata(rdtype, value) for value in values)

    def _alias(self, owner: str, rdtype: str) -> str | None:
        targets = () if rdtype == "CNAME" else self._sets.get((self._source(owner), "CNAME"), ())
        return str(targets[0]) if targets else None

    def _source(self, name: str) -> str:
        """The name itself, or the wildcard that answers for it (RFC 4592 §3.3.1)."""
        encloser = name
        while encloser not in self._names and "." in encloser:
            encloser = encloser.partition(".")[2]
        wildcard = f"*.{encloser}"
        return wildcard if encloser != name and wildcard in self._names else name


class ZoneNetwork(Network):
    """A network in which every session answers from this zone."""

    def __init__(self, zone: NetworkSession) -> None:
        self.zone = zone

    def run(self, main: Callable[[SessionFactory], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run(main(lambda: self.zone))

    @contextmanager
    def fetching(self) -> Iterator[Fetch]:
        with asyncio.Runner() as runner, blocking_client(runner, self._sessions()) as fetch:
            yield fetch

    @asynccontextmanager
    async def _sessions(self) -> AsyncIterator[SessionFactory]:
        yield lambda: self.zone


def read_master_files(*paths: Path) -> dict[str | tuple[str, str], list[Rdata]]:
    """The records of zone files in master format (RFC 1035 §5), as data for ``Zone``."""
    data: dict[str | tuple[str, str], list[Rdata]] = {}
    for path in paths:
        zone = dns.zone.from_file(str(path), relativize=False, check_origin=False)
        for name, _, rdata in zone.iterate_rdatas():
            key = (name.to_text(omit_final_dot=True), rdata.rdtype.name)
            data.setdefault(key, []).append(rdata_from_dnspython(rdata))
    return data


def rdata_from_dnspython(rdata: Any) -> Rdata:
    """The value of a record as ``Zone`` takes it."""
    match rdata.rdtype.name:
        case "TXT":
            return b"".join(rdata.strings).decode("utf-8", "backslashreplace")
        case "SOA":
            return Soa(
                mname=str(rdata.mname)[:-1],
                rname=str(rdata.rname)[:-1],
                serial=rdata.serial,
                minimum=rdata.minimum,
            )
        case "TLSA":
            return Tlsa(
                usage=rdata.usage,
                selector=rdata.selector,
                matching=rdata.mtype,
                data=rdata.cert.hex(),
            )
        case "CAA":
            return Caa(rdata.flags, rdata.tag.decode(), rdata.value.decode())
        case rdtype:
            return _rdata(rdtype, rdata.to_text())


def _rdata(rdtype: str, value: Rdata) -> Rdata:
    """The value as ``Answers`` return it; MX and host names may be written as in a zone file."""
    if rdtype == "MX" and isinstance(value, str):
        preference, host = value.split()
        return Mx(int(preference), _plain(host))
    if rdtype in ("NS", "CNAME", "PTR") and isinstance(value, str):
        return _plain(value)
    return value


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")

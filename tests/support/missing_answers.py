"""Sessions in which an answer is missing, or in which the zones have other contents."""

import random
from collections.abc import Mapping, Sequence

from app.ports.dns import Answer, LookupFailed, ServerAnswer, Soa
from app.ports.http import Page, Request
from app.ports.network import NetworkSession

Question = tuple[str, str]
"""The name and the type; of a direct query ``name@server``, of a page the URL and ``HTTPS``."""

_ADDRESS_TYPES = {"A": "10.0.0.1", "AAAA": "fd00::1"}
_SERVER_FAULTS = ("none", "none", "silent", "refused", "outdated", "lame")


class Asked(NetworkSession):
    """A session that notes the questions and can leave one of them without an answer.

    missing  the question without an answer
    reason   why, as in ``LookupFailed``
    page     what is fetched instead, if the question is a page
    """

    def __init__(
        self,
        inner: NetworkSession,
        missing: Question | None = None,
        reason: str = "timeout",
        page: Page | None = None,
    ) -> None:
        self._inner, self._missing, self._reason, self._page = inner, missing, reason, page
        self.questions: dict[Question, None] = {}

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        self._note(name.lower().removesuffix("."), rdtype)
        return await self._inner.resolve(name, rdtype, checking_disabled=checking_disabled)

    async def query_server(self, server: str, name: str, rdtype: str) -> ServerAnswer:
        self._note(f"{name}@{server}", rdtype)
        return await self._inner.query_server(server, name, rdtype)

    async def fetch(self, host: str, path: str, request: Request | None = None) -> Page:
        url = f"https://{host}{path}"
        if self._page is not None and (url, "HTTPS") == self._missing:
            return self._page
        self._note(url, "HTTPS")
        return await self._inner.fetch(host, path, request)

    def _note(self, name: str, rdtype: str) -> None:
        self.questions[name, rdtype] = None
        if (name, rdtype) == self._missing:
            raise LookupFailed(name, rdtype, self._reason)


class Changed(NetworkSession):
    """A session in which some record sets and some name servers have a fault.

    faults   by question: ``none`` (no records), ``nxdomain``, ``alias``, ``private`` (addresses)
             or ``repeated`` (two of the same records)
    servers  by name server: a fault of its direct answers
    """

    def __init__(
        self,
        inner: NetworkSession,
        faults: Mapping[Question, str],
        servers: Mapping[str, str],
    ) -> None:
        self._inner, self._faults, self._servers = inner, faults, servers

    @classmethod
    def at_random(
        cls, inner: NetworkSession, questions: Sequence[Question], seed: str
    ) -> "Changed":
        """The session with faults of some of the questions, always the same ones for a seed."""
        choose = random.Random(seed)
        own = sorted(key for key in questions if key[1] != "HTTPS" and "@" not in key[0])
        faults: dict[Question, str] = {}
        for name, rdtype in choose.sample(own, min(len(own), choose.choice((1, 3, 8)))):
            if rdtype in _ADDRESS_TYPES:
                fault = choose.choice(("none", "nxdomain", "private", "alias"))
                # an alias and a missing name concern every type
                types = [rdtype] if fault in ("none", "private") else list(_ADDRESS_TYPES)
                faults |= {(name, type): fault for type in types}
            else:
                is_text = rdtype == "TXT"
                faults[name, rdtype] = choose.choice(
                    ("none", "nxdomain", "repeated" if is_text else "none")
                )
        servers = {key[0].partition("@")[2] for key in questions if "@" in key[0]}
        return cls(
            inner, faults, {server: choose.choice(_SERVER_FAULTS) for server in sorted(servers)}
        )

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        fault = self._faults.get((name.lower().removesuffix("."), rdtype))
        if fault in ("none", "nxdomain"):
            return Answer(name, rdtype, "NOERROR" if fault == "none" else "NXDOMAIN", ttl=300)
        if fault == "private":
            addresses = (_ADDRESS_TYPES[rdtype],)
            return Answer(name, rdtype, "NOERROR", rdatas=addresses, ttl=300)
        answer = await self._inner.resolve(name, rdtype, checking_disabled=checking_disabled)
        if fault == "alias":
            return answer._replace(aliases=("canonical.elsewhere.test",))
        if fault == "repeated":
            return answer._replace(rdatas=(*answer.rdatas, *answer.rdatas))
        return answer

    async def query_server(self, server: str, name: str, rdtype: str) -> ServerAnswer:
        fault = self._servers.get(server)
        if fault == "silent":
            raise LookupFailed(f"{name}@{server}", rdtype, "timeout")
        if fault == "refused":
            return ServerAnswer(server, "REFUSED", authoritative=False)
        answer = await self._inner.resolve(name, rdtype)
        rdatas = answer.rdatas
        if fault == "outdated":
            rdatas = tuple(
                Soa(mname=soa.mname, rname=soa.rname, serial=soa.serial - 1, minimum=soa.minimum)
                if isinstance(soa, Soa)
                else soa
                for soa in rdatas
            )
        return ServerAnswer(
            server=server,
            rcode=answer.rcode,
            authoritative=fault != "lame",
            rdatas=rdatas,
        )

    async def fetch(self, host: str, path: str, request: Request | None = None) -> Page:
        return await self._inner.fetch(host, path, request)

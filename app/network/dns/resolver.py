"""The resolver: DNS answers of real name servers.

Concurrent scans share pending queries and cached answers; each has its own query budget.
"""

import asyncio
from collections import Counter
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from app.network.dns import wire
from app.network.dns.name_servers import NameServers
from app.network.dns.server import NoAnswer
from app.network.dns.transport import ServerReply, Transport
from app.ports.dns import Answer, LookupFailed, Resolver, ServerAnswer

MAX_ALIASES = 8
MIN_TTL, MAX_TTL = 1, 3600  # seconds that an answer is cached, regardless of its TTL
FAILURE_TTL = 5  # RFC 9520 §3.2
MAX_CACHED = 20_000

RESOLV_CONF = Path("/etc/resolv.conf")

_new = tuple.__new__  # the constructor of a NamedTuple takes 5 to 10 times as long

Key = tuple[str, str, bool]  # name, type, checking disabled


class CachedOutcome(NamedTuple):
    """The answer to one query; if ``is_open``, its last alias must still be resolved."""

    answer: Answer
    is_open: bool = False


Waiter = asyncio.Future[CachedOutcome | str]


class Shared:
    """The cached answers and pending queries that the scans of one event loop share.

    outcome_counts  how many queries had each outcome: an RCODE or a failure
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.outcome_counts: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._cache: dict[Key, tuple[float, CachedOutcome | str]] = {}
        self._waiters: dict[Key, list[Waiter]] = {}

    def cached(self, key: Key) -> CachedOutcome | str | None:
        """Return the valid cached outcome, if any: an answer, or the reason for a failure."""
        if (entry := self._cache.get(key)) is None:
            return None
        if entry[0] <= self._clock():
            del self._cache[key]
            return None
        return entry[1]

    def is_pending(self, key: Key) -> bool:
        """Return whether the same query is pending."""
        return key in self._waiters

    def send(self, key: Key, query: wire.Query) -> None:
        """Send the query for all waiters, so that a cancelled waiter does not cancel the others."""
        self._waiters[key] = []
        self._transport.send(query, partial(self._complete, key))

    def wait_for(self, key: Key) -> Waiter:
        """Return the future outcome of a pending query."""
        waiter: Waiter = self._loop.create_future()
        self._waiters[key].append(waiter)
        return waiter

    def close(self) -> None:
        """Close all sockets; pending queries fail, and no answer stays in memory."""
        self._transport.close()
        self._cache.clear()

    def _complete(self, key: Key, reply: ServerReply) -> None:
        outcome: CachedOutcome | str = "garbage"
        seconds = FAILURE_TTL
        try:
            if isinstance(reply, str):
                outcome = reply
            else:
                outcome = read_answer(key[0], key[1], reply[0], authenticated=reply[1])
                seconds = cache_seconds(outcome.answer)
        except NoAnswer as failure:
            outcome = failure.reason
        finally:
            self.outcome_counts[outcome if isinstance(outcome, str) else outcome.answer.rcode] += 1
            self._store(key, outcome, seconds)
            for waiter in self._waiters.pop(key):
                if not waiter.done():
                    waiter.set_result(outcome)

    def _store(self, key: Key, outcome: CachedOutcome | str, seconds: int) -> None:
        if len(self._cache) >= MAX_CACHED:
            # Half at once: the search for the first entry passes all places of deleted ones.
            self._cache = dict(islice(self._cache.items(), MAX_CACHED // 2, None))
        self._cache[key] = (self._clock() + seconds, outcome)


class LiveResolver(Resolver):
    """Resolves names with real servers for one scan.

    budget   maximum number of queries on the network; shared answers are free
    servers  None: authoritative name servers are not queried
    """

    def __init__(
        self,
        shared: Shared,
        budget: int,
        servers: NameServers | None = None,
    ) -> None:
        self._shared, self._budget, self._servers = shared, budget, servers

    def prefetch(self, *questions: tuple[str, str]) -> None:
        for name, rdtype in questions:
            key = (name.lower().removesuffix("."), rdtype, False)
            if not self._shared.is_pending(key) and self._shared.cached(key) is None:
                try:
                    self._send(key)
                except (wire.Malformed, LookupFailed):
                    continue  # ``resolve`` raises it

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        key = (name.lower().removesuffix("."), rdtype, checking_disabled)
        outcome = self._shared.cached(key)
        if outcome is None or isinstance(outcome, str):
            outcome = await self._outcome(key)
        return await self._followed(key, outcome.answer) if outcome.is_open else outcome.answer

    async def query_server(self, server: str, name: str, rdtype: str) -> ServerAnswer:
        if self._servers is None:
            return await super().query_server(server, name, rdtype)
        address = await self._servers.address(self, server)
        query = wire.query_for(name, wire.type_number(rdtype), recursive=False)
        if not self._servers.is_known(address, query):
            self._spend(name, rdtype)
        return await self._servers.query(server, address, query, rdtype)

    async def _outcome(self, key: Key) -> CachedOutcome:
        outcome = self._shared.cached(key)
        if outcome is None and key[1] == "CNAME":
            outcome = await self._missing_alias(key)
        if outcome is None:
            if not self._shared.is_pending(key):
                try:
                    self._send(key)
                except wire.Malformed:
                    return CachedOutcome(
                        Answer(key[0], key[1], "NXDOMAIN")
                    )  # such a name cannot exist
            outcome = await self._shared.wait_for(key)
        if isinstance(outcome, str):
            raise LookupFailed(key[0], key[1], outcome)
        return outcome

    async def _missing_alias(self, key: Key) -> CachedOutcome | None:
        """The answer that there is no CNAME record, if a query for A records shows it.

        The answer for a name with a CNAME record has an alias (RFC 1034 §4.3.2), or the addresses
        with which the server replaced it; an answer with neither is also one for CNAME.
        """
        of_addresses = (key[0], "A", key[2])
        if not self._shared.is_pending(of_addresses) and not self._shared.cached(of_addresses):
            return None
        try:
            answer = (await self._outcome(of_addresses)).answer
        except LookupFailed:
            return None
        if answer.rdatas or answer.aliases or not answer.exists:
            return None
        return CachedOutcome(answer._replace(rdtype="CNAME"))

    def _send(self, key: Key) -> None:
        name, rdtype, checking_disabled = key
        number = wire.type_number(rdtype)
        query = wire.query_for(name, number, checking_disabled=checking_disabled)
        self._spend(name, rdtype)
        self._shared.send(key, query)

    def _spend(self, name: str, rdtype: str) -> None:
        if self.query_count >= self._budget:
            raise LookupFailed(name, rdtype, "budget")
        self.query_count += 1

    async def _followed(self, key: Key, start: Answer) -> Answer:
        """The answer at the end of a CNAME chain that the server did not follow completely."""
        answer, is_open = start, True
        while is_open:
            outcome = await self._outcome((answer.aliases[-1], *key[1:]))
            is_open, more = outcome.is_open, outcome.answer
            answer = more._replace(
                name=start.name,
                aliases=answer.aliases + more.aliases,
                ttl=min(answer.ttl, more.ttl),
                authenticated=answer.authenticated and more.authenticated,
            )
            if not _is_chain(start.name, answer.aliases):
                raise LookupFailed(key[0], key[1], "garbage")
        return answer


def read_answer(
    name: str, rdtype: str, message: wire.Message, *, authenticated: bool = False
) -> CachedOutcome:
    """The answer in a response with NOERROR or NXDOMAIN.

    raises  NoAnswer if it is a referral, or its aliases are too many or form a loop
    source  RFC 1034 §3.6.2, RFC 2308 §2, RFC 6604 §3 (the RCODE is that of the last alias)
    """
    if message.referral:
        raise NoAnswer("garbage")
    if message.answers:
        return _positive(name, rdtype, message, is_authenticated=authenticated)
    rcode = "NOERROR" if message.rcode == wire.NOERROR else "NXDOMAIN"
    ttl = message.negative_ttl or 0
    return CachedOutcome(_new(Answer, (name, rdtype, rcode, (), (), ttl, authenticated, ())))


def _positive(
    name: str, rdtype: str, message: wire.Message, *, is_authenticated: bool
) -> CachedOutcome:
    """Return the answer in a response with records: those of the type, and aliases."""
    question, number = message.question
    exists = message.rcode == wire.NOERROR
    owner, aliases, ttls = question, [], []
    if number != wire.CNAME and wire.CNAME in [record[1] for record in message.answers]:
        chain = _chain(question, message.answers)
        aliases, ttls = [str(alias.rdata) for alias in chain], [alias.ttl for alias in chain]
        owner = aliases[-1] if aliases else question
    records = [r for r in message.answers if r.owner == owner and r.rdtype == number]
    ttls += [r.ttl for r in records] or [message.negative_ttl or 0]
    exists = exists or bool(records)
    rcode = "NOERROR" if exists else "NXDOMAIN"
    rdatas = tuple([r.rdata for r in records])
    signatures = tuple([signature for signed, signature in message.signatures if signed == owner])
    head = name, rdtype, rcode, rdatas, tuple(aliases)
    answer = _new(Answer, (*head, min(ttls), is_authenticated, signatures))
    is_open = bool(aliases) and exists and not records and message.negative_ttl is None
    return CachedOutcome(answer, is_open)


def _chain(question: str, answers: tuple[wire.Record, ...]) -> list[wire.Record]:
    """The chain of aliases from the queried name, in order."""
    targets = {r.owner: r for r in reversed(answers) if r.rdtype == wire.CNAME}
    owner, chain = question, []
    while alias := targets.get(owner):
        owner = str(alias.rdata)
        chain.append(alias)
        if not _is_chain(question, [str(link.rdata) for link in chain]):
            raise NoAnswer("garbage")
    return chain


def cache_seconds(answer: Answer) -> int:
    """The number of seconds that the answer is cached: its TTL within bounds."""
    return min(max(answer.ttl, MIN_TTL), MAX_TTL)


def system_nameservers(path: Path) -> tuple[tuple[str, int], ...]:
    """The name servers in resolv.conf(5); 127.0.0.1 if it has none."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    words = [line.split() for line in lines]
    addresses = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
    return tuple((address, 53) for address in addresses) or (("127.0.0.1", 53),)


def _is_chain(name: str, aliases: "list[str] | tuple[str, ...]") -> bool:
    """Whether the chain is short enough and has no loop."""
    return len(aliases) <= MAX_ALIASES and len({name, *aliases}) == len(aliases) + 1

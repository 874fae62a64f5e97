"""The network of a process: real name servers, web servers and mail servers.

Concurrent scans share pending queries and cached answers; each has its own query budget.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import uvloop

from app.network import streams
from app.network.dns.name_servers import NameServers
from app.network.dns.resolver import RESOLV_CONF, LiveResolver, Shared, system_nameservers
from app.network.dns.transport import Transport
from app.network.http.egress import Egress
from app.network.options import NetworkSettings, QueryCounters
from app.network.smtp.starttls import Prober
from app.ports.dns import LookupFailed
from app.ports.http import Page, Request
from app.ports.network import Fetch, Network, NetworkSession, SessionFactory, T
from app.ports.smtp import TlsProbe
from app.ports.streams import StreamRequest


class LiveNetwork(Network):
    """The network access of this process, configured by the settings."""

    def __init__(self, settings: NetworkSettings, counters: QueryCounters | None = None) -> None:
        self._settings, self._counters = settings, counters or QueryCounters()

    def run(self, main: Callable[[SessionFactory], Coroutine[Any, Any, T]]) -> T:
        async def opened() -> T:
            async with self._sessions() as new_session:
                return await main(new_session)

        with _rare_collections(), _runner() as runner:
            return runner.run(opened())

    @contextmanager
    def fetching(self) -> Iterator[Fetch]:
        with _runner() as runner, blocking_client(runner, self._sessions()) as fetch:
            yield fetch

    @asynccontextmanager
    async def _sessions(self) -> AsyncIterator[SessionFactory]:
        settings = self._settings
        resolvers = settings.dns_nameservers or system_nameservers(RESOLV_CONF)
        transport = Transport(
            resolvers,
            settings.dns_query_seconds,
            max_outstanding=settings.scan_outstanding_queries,
        )
        shared = Shared(transport)
        egress = Egress(
            settings.egress_allow_cidrs,
            settings.egress_proxy,
            connect_to=settings.egress_connect_to,
        )
        hello = urlsplit(settings.base_url).hostname or "localhost"
        prober = Prober(hello, settings.egress_allow_cidrs)
        servers = self._name_servers()

        def new_session() -> LiveSession:
            self._report(shared, servers)
            return LiveSession(
                egress=egress,
                prober=prober,
                shared=shared,
                budget=settings.scan_query_budget,
                servers=servers,
            )

        try:
            yield new_session
        finally:
            egress.close()
            shared.close()
            if servers:
                servers.close()
                await asyncio.sleep(0)  # it ends the pending queries in the next step of the loop
            self._report(shared, servers)

    def _name_servers(self) -> NameServers | None:
        if not self._settings.check_authoritative_servers:
            return None
        return NameServers(self._settings.egress_allow_cidrs)

    def _report(self, shared: Shared, servers: NameServers | None) -> None:
        """Count the queries since the last report."""
        _count(shared.outcome_counts, self._counters.resolver)
        if servers:
            _count(servers.outcome_counts, self._counters.name_servers)


class LiveSession(LiveResolver, NetworkSession):
    """The network access of one scan or job; the HTTPS client and the prober use its resolver."""

    def __init__(
        self,
        *,
        egress: Egress,
        prober: Prober,
        shared: Shared,
        budget: int,
        servers: NameServers | None = None,
    ) -> None:
        super().__init__(shared, budget, servers)
        self._egress, self._prober = egress, prober

    async def fetch(self, host: str, path: str, request: Request | None = None) -> Page:
        return await self._egress.fetch(self, host, path, request)

    async def refusal(self, host: str) -> str | None:
        return await self._egress.refusal(self, host)

    async def public_addresses(self, host: str) -> list[str]:
        return await self._egress.public_addresses(self, host)

    async def send_stream(self, host: str, request: StreamRequest) -> str | None:
        return await streams.send(self, self._egress.allowed, host, request)

    async def probe_tls(self, host: str) -> TlsProbe:
        return await self._prober.probe(self, host)


def _count(outcomes: Counter[str], count: Callable[[str, int], None] | None) -> None:
    """Pass the outcomes to the function, and forget them."""
    if count:
        for outcome, number in outcomes.items():
            count(outcome.lower(), number)
    outcomes.clear()


def _runner() -> asyncio.Runner:
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


@contextmanager
def blocking_client(
    runner: asyncio.Runner, sessions: AbstractAsyncContextManager[SessionFactory]
) -> Iterator[Fetch]:
    """Run the requests of one session in the event loop of the runner, one after the other."""

    async def enter() -> NetworkSession:
        return (await sessions.__aenter__())()

    async def leave() -> None:
        await sessions.__aexit__(None, None, None)

    async def bounded(host: str, path: str, request: Request, seconds: float) -> Page:
        try:
            async with asyncio.timeout(seconds):
                return await session.fetch(host, path, request)
        except TimeoutError:
            raise LookupFailed(host, "HTTPS", "timeout") from None

    def fetch(host: str, path: str, request: Request, *, seconds: float) -> Page:
        return runner.run(bounded(host, path, request, seconds))

    session = runner.run(enter())
    try:
        yield fetch
    finally:
        runner.run(leave())


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Collect cyclic garbage hardly ever: scans have many objects, but make no cyclic garbage.

    Collections would take a fifth of the CPU time of scans (``bench/scan.py``).
    """
    before = gc.get_threshold()
    gc.set_threshold(1_000_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)

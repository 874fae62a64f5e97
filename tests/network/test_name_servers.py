"""Queries to authoritative name servers over real sockets on loopback."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import pytest
import uvloop

from app.network.dns import name_servers, wire
from app.network.dns.name_servers import MAX_TIMEOUTS, NameServers
from app.network.dns.resolver import LiveResolver, Shared
from app.network.dns.transport import Transport
from app.ports.dns import LookupFailed, ServerAnswer, Soa
from tests.support.name_server import Failure, Nameserver
from tests.support.zones import Zone

T = TypeVar("T")
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
SERVER = "ns1.acme.test"
ZONE = {("acme.test", "SOA"): ["ns1.acme.test. host.acme.test. 7 3600 600 86400 60"]}
SAID = ServerAnswer(
    server=SERVER,
    rcode="NOERROR",
    authoritative=True,
    rdatas=(Soa(mname="ns1.acme.test", rname="host.acme.test", serial=7, minimum=60),),
)
QUERY = wire.query_for("acme.test", wire.SOA, recursive=False)


def run(
    port: int,
    main: Callable[[NameServers], Awaitable[T]],
    *,
    allowed: Sequence[Any] = LOOPBACK,
    seconds: float = 5,
) -> T:
    """The result of ``main`` with name servers in a new event loop."""

    async def whole() -> T:
        servers = NameServers(allowed, port=port, seconds=seconds)
        try:
            return await main(servers)
        finally:
            servers.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(whole())


def query_soa(server: Nameserver, *, seconds: float = 5) -> ServerAnswer:
    """The answer to a query for the SOA of acme.test."""

    async def main(servers: NameServers) -> ServerAnswer:
        return await servers.query(SERVER, server.address[0], QUERY, "SOA")

    return run(server.address[1], main, seconds=seconds)


def reason(server: Nameserver, seconds: float = 0.2) -> str:
    """The reason for a missing answer."""
    with pytest.raises(LookupFailed) as caught:
        query_soa(server, seconds=seconds)
    return caught.value.reason


def serving(failure: Failure | None = None, **options: Any) -> Nameserver:
    """A name server of acme.test."""
    failures: Mapping[str, Failure] = {"acme.test": failure} if failure else {}
    return Nameserver(ZONE, failures, **{"authoritative": True, **options})


def test_server_answers_for_its_zone() -> None:
    with serving() as server:
        assert query_soa(server) == SAID
        assert [flags & 0x0120 for flags in server.flags] == [0]  # neither RD nor AD


@pytest.mark.parametrize(
    ("failure", "rcode"),
    [(Failure.REFUSED, "REFUSED"), (Failure.SERVFAIL, "SERVFAIL"), (Failure.REFERRAL, "NOERROR")],
)
def test_answer_of_server_without_the_zone_is_returned(failure: Failure, rcode: str) -> None:
    with serving(failure, authoritative=False) as server:
        assert query_soa(server) == ServerAnswer(
            server=SERVER, rcode=rcode, authoritative=False, rdatas=()
        )


@pytest.mark.parametrize(
    "failure", [Failure.WRONG_ID, Failure.WRONG_SOURCE, Failure.WRONG_QUESTION]
)
def test_forged_response_of_name_server_is_ignored(failure: Failure) -> None:
    with serving(failure) as server:
        assert query_soa(server) == SAID


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure.SILENT, "timeout"),
        (Failure.GARBAGE, "timeout"),
        (Failure.ANOTHER_CASE, "timeout"),  # an attacker who has not seen the query
        (Failure.TRUNCATED, "truncated"),
    ],
)
def test_missing_answer_is_undetermined(failure: Failure, expected: str) -> None:
    with serving(failure) as server:
        assert reason(server) == expected


def test_silent_server_is_queried_twice_with_different_case() -> None:
    with serving(Failure.SILENT) as server:
        reason(server)
        assert server.queried == [("acme.test", "SOA")] * 2


def test_query_is_sent_once_for_all_callers() -> None:
    async def main(servers: NameServers) -> list[ServerAnswer]:
        address = server.address[0]
        queries = (servers.query(SERVER, address, QUERY, "SOA") for _ in range(20))
        first = await asyncio.gather(*queries)
        assert servers.is_known(address, QUERY)
        return [*first, await servers.query(SERVER, address, QUERY, "SOA")]

    with serving() as server:
        assert run(server.address[1], main) == [SAID] * 21
        assert len(server.queried) == 1


def test_servers_at_several_addresses_are_distinguished() -> None:
    other = {("acme.test", "SOA"): ["ns1.acme.test. host.acme.test. 8 3600 600 86400 60"]}
    with serving() as first:
        address = ("127.0.0.2", first.address[1])
        with Nameserver(other, authoritative=True, address=address):

            async def main(servers: NameServers) -> list[Any]:
                hosts = ("127.0.0.1", "127.0.0.2")
                answers = [await servers.query(host, host, QUERY, "SOA") for host in hosts]
                return [answer.rdatas[0] for answer in answers]

            assert [soa.serial for soa in run(first.address[1], main)] == [7, 8]


def test_many_queries_use_several_ports() -> None:
    names = [f"z{number}.test" for number in range(3 * name_servers.USES)]
    records = {(name, "SOA"): ZONE["acme.test", "SOA"] for name in names}

    async def main(servers: NameServers) -> list[ServerAnswer]:
        queries = [wire.query_for(name, wire.SOA, recursive=False) for name in names]
        address = server.address[0]
        return await asyncio.gather(
            *(servers.query(SERVER, address, query, "SOA") for query in queries)
        )

    with Nameserver(records, authoritative=True) as server:
        assert all(answer.rdatas for answer in run(server.address[1], main))


@pytest.mark.parametrize(
    ("addresses", "allowed", "expected"),
    [
        (["127.0.0.1"], LOOPBACK, None),
        (["127.0.0.1"], (), "refused_address"),
        (["10.0.0.1"], (), "refused_address"),
        (["10.0.0.1"], (ipaddress.ip_network("10.0.0.0/8"),), "refused_address"),
        (["169.254.169.254"], (), "refused_address"),
        (["8.8.8.8", "10.0.0.1"], (), "refused_address"),
        ([], LOOPBACK, "no_address"),
    ],
)
def test_only_public_addresses_are_queried(
    addresses: list[str], allowed: Sequence[Any], expected: str | None
) -> None:
    """The allowed networks for policies and webhooks do not apply to name servers."""

    async def main(servers: NameServers) -> str:
        return await servers.address(Zone({(SERVER, "A"): addresses}), SERVER)

    if expected is None:
        assert run(53, main, allowed=allowed) == "127.0.0.1"
        return
    with pytest.raises(LookupFailed) as caught:
        run(53, main, allowed=allowed)
    assert caught.value.reason == expected


def test_queries_stop_if_no_server_ever_answers() -> None:
    async def main(servers: NameServers) -> bool:
        for number in range(MAX_TIMEOUTS):
            query = wire.query_for(f"z{number}.test", wire.SOA, recursive=False)
            with pytest.raises(LookupFailed):
                await servers.query(SERVER, server.address[0], query, "SOA")
        with pytest.raises(LookupFailed):
            await servers.query(SERVER, server.address[0], QUERY, "SOA")
        return servers.is_blocked

    silent = {f"z{number}.test": Failure.SILENT for number in range(MAX_TIMEOUTS)}
    with Nameserver(ZONE, silent, authoritative=True) as server:
        assert run(server.address[1], main, seconds=0.05)
        assert ("acme.test", "SOA") not in server.queried


def test_one_answer_keeps_queries_enabled() -> None:
    async def main(servers: NameServers) -> ServerAnswer:
        await servers.query(SERVER, server.address[0], QUERY, "SOA")
        for number in range(MAX_TIMEOUTS + 1):
            query = wire.query_for(f"z{number}.test", wire.SOA, recursive=False)
            with pytest.raises(LookupFailed):
                await servers.query(SERVER, server.address[0], query, "SOA")
        ns = wire.query_for("acme.test", wire.NS, recursive=False)
        return await servers.query(SERVER, server.address[0], ns, "NS")

    silent = {f"z{number}.test": Failure.SILENT for number in range(MAX_TIMEOUTS + 1)}
    with Nameserver(ZONE, silent, authoritative=True) as server:
        assert run(server.address[1], main, seconds=0.5).authoritative


def test_name_server_query_costs_budget_once() -> None:
    """A scan resolves the address of the server, then queries the server."""

    async def main(servers: NameServers) -> tuple[ServerAnswer, list[int]]:
        shared = Shared(Transport([resolver.address], 5))
        scans = [LiveResolver(shared, 3, servers) for _ in range(2)]
        try:
            answers = [await scan.query_server(SERVER, "acme.test", "SOA") for scan in scans]
            with pytest.raises(LookupFailed) as caught:
                await scans[0].query_server(SERVER, "acme.test", "NS")
            assert caught.value.reason == "budget"
            assert answers[0] == answers[1]
            return answers[0], [scan.query_count for scan in scans]
        finally:
            shared.close()

    with Nameserver({(SERVER, "A"): ["127.0.0.1"]}) as resolver, serving() as server:
        assert run(server.address[1], main) == (SAID, [3, 0])  # A, AAAA, SOA


def test_disabled_name_server_queries_send_nothing() -> None:
    async def main(_: NameServers) -> str:
        shared = Shared(Transport([resolver.address], 5))
        try:
            with pytest.raises(LookupFailed) as caught:
                await LiveResolver(shared, 9).query_server(SERVER, "acme.test", "SOA")
            return caught.value.reason
        finally:
            shared.close()

    with Nameserver({}) as resolver:
        assert run(53, main) == "network"
        assert resolver.queried == []

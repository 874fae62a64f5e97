"""Zones' name servers, asked themselves over real sockets on loopback."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import pytest
import uvloop

from app.network.dns import name_servers, wire
from app.network.dns.name_servers import UNRESPONSIVE_SECONDS, NameServers
from app.network.dns.resolver import LiveResolver, Shared
from app.network.dns.transport import Transport
from app.ports.dns import LookupFailed, ServerAnswer, Soa
from tests.network.nameserver import Nameserver, Trouble
from tests.zones import Zone

T = TypeVar("T")
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
SERVER = "ns1.acme.test"
ZONE = {("acme.test", "SOA"): ["ns1.acme.test. host.acme.test. 7 3600 600 86400 60"]}
SAID = ServerAnswer(SERVER, "NOERROR", True, (Soa("ns1.acme.test", "host.acme.test", 7, 60),))
QUERY = wire.query_for("acme.test", wire.SOA, recursive=False)


def run(
    port: int,
    main: Callable[[NameServers], Awaitable[T]],
    *,
    allowed: Sequence[Any] = LOOPBACK,
    seconds: float = 5,
) -> T:
    """What ``main`` returns, given the name servers of a loop that ends with it."""

    async def whole() -> T:
        servers = NameServers(allowed, port=port, seconds=seconds)
        try:
            return await main(servers)
        finally:
            servers.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(whole())


def ask(server: Nameserver, *, seconds: float = 5) -> ServerAnswer:
    """The SOA of acme.test."""

    async def main(servers: NameServers) -> ServerAnswer:
        return await servers.ask(SERVER, server.address[0], QUERY, "SOA")

    return run(server.address[1], main, seconds=seconds)


def reason(server: Nameserver, seconds: float = 0.2) -> str:
    """Why there is no answer."""
    with pytest.raises(LookupFailed) as caught:
        ask(server, seconds=seconds)
    return caught.value.reason


def serving(trouble: Trouble | None = None, **options: Any) -> Nameserver:
    """A name server of acme.test."""
    troubles: Mapping[str, Trouble] = {"acme.test": trouble} if trouble else {}
    return Nameserver(ZONE, troubles, **{"authoritative": True, **options})


def test_a_server_says_what_it_serves() -> None:
    with serving() as server:
        assert ask(server) == SAID
        assert [flags & 0x0120 for flags in server.flags] == [0]  # neither RD nor AD


@pytest.mark.parametrize(
    ("trouble", "rcode"),
    [(Trouble.REFUSED, "REFUSED"), (Trouble.SERVFAIL, "SERVFAIL"), (Trouble.REFERRAL, "NOERROR")],
)
def test_one_that_does_not_serve_the_zone_says_so(trouble: Trouble, rcode: str) -> None:
    with serving(trouble, authoritative=False) as server:
        assert ask(server) == ServerAnswer(SERVER, rcode, False, ())


@pytest.mark.parametrize(
    "trouble", [Trouble.WRONG_ID, Trouble.WRONG_SOURCE, Trouble.WRONG_QUESTION]
)
def test_a_lie_is_passed_over_and_the_truth_heard(trouble: Trouble) -> None:
    with serving(trouble) as server:
        assert ask(server) == SAID


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (Trouble.SILENT, "timeout"),
        (Trouble.GARBAGE, "timeout"),
        (Trouble.ANOTHER_CASE, "timeout"),  # it might be somebody else who has not seen ours
        (Trouble.TRUNCATED, "truncated"),
    ],
)
def test_what_is_no_answer_leaves_it_open(trouble: Trouble, expected: str) -> None:
    with serving(trouble) as server:
        assert reason(server) == expected


def test_a_silent_server_is_asked_twice_in_two_spellings() -> None:
    with serving(Trouble.SILENT) as server:
        reason(server)
        assert server.asked == [("acme.test", "SOA")] * 2


def test_a_question_goes_out_once_for_all_who_ask() -> None:
    async def main(servers: NameServers) -> list[ServerAnswer]:
        address = server.address[0]
        asked = (servers.ask(SERVER, address, QUERY, "SOA") for _ in range(20))
        first = await asyncio.gather(*asked)
        assert servers.is_known(address, QUERY)
        return [*first, await servers.ask(SERVER, address, QUERY, "SOA")]

    with serving() as server:
        assert run(server.address[1], main) == [SAID] * 21
        assert len(server.asked) == 1


def test_servers_at_several_addresses_are_told_apart() -> None:
    other = {("acme.test", "SOA"): ["ns1.acme.test. host.acme.test. 8 3600 600 86400 60"]}
    with serving() as first:
        address = ("127.0.0.2", first.address[1])
        with Nameserver(other, authoritative=True, address=address):

            async def main(servers: NameServers) -> list[Any]:
                hosts = ("127.0.0.1", "127.0.0.2")
                said = [await servers.ask(host, host, QUERY, "SOA") for host in hosts]
                return [one.rdatas[0] for one in said]

            assert [soa.serial for soa in run(first.address[1], main)] == [7, 8]


def test_many_questions_go_out_from_several_ports() -> None:
    names = [f"z{number}.test" for number in range(3 * name_servers.USES)]
    records = {(name, "SOA"): ZONE["acme.test", "SOA"] for name in names}

    async def main(servers: NameServers) -> list[ServerAnswer]:
        queries = [wire.query_for(name, wire.SOA, recursive=False) for name in names]
        address = server.address[0]
        return await asyncio.gather(
            *(servers.ask(SERVER, address, query, "SOA") for query in queries)
        )

    with Nameserver(records, authoritative=True) as server:
        assert all(said.rdatas for said in run(server.address[1], main))


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
def test_only_public_addresses_are_asked(
    addresses: list[str], allowed: Sequence[Any], expected: str | None
) -> None:
    """What operators allow for policies and webhooks does not hold here."""

    async def main(servers: NameServers) -> str:
        return await servers.address(Zone({(SERVER, "A"): addresses}), SERVER)

    if expected is None:
        assert run(53, main, allowed=allowed) == "127.0.0.1"
        return
    with pytest.raises(LookupFailed) as caught:
        run(53, main, allowed=allowed)
    assert caught.value.reason == expected


def test_when_nobody_ever_answers_nobody_is_asked_any_more() -> None:
    async def main(servers: NameServers) -> bool:
        for number in range(UNRESPONSIVE_SECONDS):
            query = wire.query_for(f"z{number}.test", wire.SOA, recursive=False)
            with pytest.raises(LookupFailed):
                await servers.ask(SERVER, server.address[0], query, "SOA")
        with pytest.raises(LookupFailed):
            await servers.ask(SERVER, server.address[0], QUERY, "SOA")
        return servers.is_deaf

    silent = {f"z{number}.test": Trouble.SILENT for number in range(UNRESPONSIVE_SECONDS)}
    with Nameserver(ZONE, silent, authoritative=True) as server:
        assert run(server.address[1], main, seconds=0.05)
        assert ("acme.test", "SOA") not in server.asked


def test_one_answer_is_enough_to_keep_asking() -> None:
    async def main(servers: NameServers) -> ServerAnswer:
        await servers.ask(SERVER, server.address[0], QUERY, "SOA")
        for number in range(UNRESPONSIVE_SECONDS + 1):
            query = wire.query_for(f"z{number}.test", wire.SOA, recursive=False)
            with pytest.raises(LookupFailed):
                await servers.ask(SERVER, server.address[0], query, "SOA")
        ns = wire.query_for("acme.test", wire.NS, recursive=False)
        return await servers.ask(SERVER, server.address[0], ns, "NS")

    silent = {f"z{number}.test": Trouble.SILENT for number in range(UNRESPONSIVE_SECONDS + 1)}
    with Nameserver(ZONE, silent, authoritative=True) as server:
        assert run(server.address[1], main, seconds=0.5).authoritative


def test_a_question_to_a_name_server_costs_budget_once_and_the_resolver_finds_it() -> None:
    """As a scan asks: the address by the resolver, then the server there."""

    async def main(servers: NameServers) -> tuple[ServerAnswer, list[int]]:
        shared = Shared(Transport([resolver.address], 5))
        nobody: Any = None
        scans = [LiveResolver(shared, nobody, nobody, 3, servers) for _ in range(2)]
        try:
            said = [await scan.query_server(SERVER, "acme.test", "SOA") for scan in scans]
            with pytest.raises(LookupFailed) as caught:
                await scans[0].query_server(SERVER, "acme.test", "NS")
            assert caught.value.reason == "budget"
            assert said[0] == said[1]
            return said[0], [scan.query_count for scan in scans]
        finally:
            shared.close()

    with Nameserver({(SERVER, "A"): ["127.0.0.1"]}) as resolver, serving() as server:
        assert run(server.address[1], main) == (SAID, [3, 0])  # A, AAAA, SOA


def test_where_name_servers_are_not_asked_nobody_is() -> None:
    async def main(_: NameServers) -> str:
        shared = Shared(Transport([resolver.address], 5))
        nobody: Any = None
        try:
            with pytest.raises(LookupFailed) as caught:
                await LiveResolver(shared, nobody, nobody, 9).query_server(
                    SERVER, "acme.test", "SOA"
                )
            return caught.value.reason
        finally:
            shared.close()

    with Nameserver({}) as resolver:
        assert run(53, main) == "network"
        assert resolver.asked == []

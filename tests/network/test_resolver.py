"""The resolver with name servers on loopback that answer, fail and send forged responses."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from app.network.dns import resolver, wire
from app.network.session import LiveNetwork
from app.ports.dns import Answer, LookupFailed, Mx, Resolver
from app.ports.network import SessionFactory
from app.settings import Settings
from tests.support.name_server import Failure, Nameserver

T = TypeVar("T")
Main = Callable[[SessionFactory], Coroutine[Any, Any, T]]

ACME = {
    ("acme.test", "A"): ["192.0.2.1"],
    ("acme.test", "MX"): ["20 b.acme.test.", "10 A.acme.test."],
    ("acme.test", "NS"): ["NS.acme.test."],
    ("acme.test", "TXT"): ['"v=spf1 " "-all"'],
    ("deep.below.acme.test", "A"): ["192.0.2.2"],
    ("www.acme.test", "CNAME"): ["web.acme.test."],
    ("web.acme.test", "CNAME"): ["acme.test."],
    ("dangling.acme.test", "CNAME"): ["gone.test."],
    ("loop.acme.test", "CNAME"): ["pool.acme.test."],
    ("pool.acme.test", "CNAME"): ["loop.acme.test."],
    **{(f"hop{n}.test", "CNAME"): [f"hop{n + 1}.test."] for n in range(9)},
    ("hop9.test", "A"): ["192.0.2.9"],
}


def _network(*servers: Nameserver, seconds: float = 5, budget: int = 50) -> LiveNetwork:
    return LiveNetwork(
        Settings(
            secret_key="k" * 32,
            database_url="sqlite://",
            redis_url="redis://127.0.0.1:1/0",
            dns_nameservers=tuple(server.address for server in servers),
            dns_query_seconds=seconds,
            scan_query_budget=budget,
        )
    )


def _ask(*servers: Nameserver, name: str, rdtype: str = "A", seconds: float = 5) -> Answer:
    async def main(new_session: SessionFactory) -> Answer:
        return await new_session().resolve(name, rdtype)

    return _network(*servers, seconds=seconds).run(main)


def _reason(*servers: Nameserver, name: str, seconds: float = 5) -> str:
    with pytest.raises(LookupFailed) as caught:
        _ask(*servers, name=name, seconds=seconds)
    assert (caught.value.name, caught.value.rdtype) == (name, "A")
    return caught.value.reason


def test_answer_matches_server_response() -> None:
    with Nameserver(ACME) as server:
        answer = _ask(server, name="ACME.test.", rdtype="NS")
    assert answer == Answer(
        name="acme.test", rdtype="NS", rcode="NOERROR", rdatas=("ns.acme.test",), ttl=300
    )


def test_mail_hosts_are_sorted_by_preference() -> None:
    async def main(new_session: SessionFactory) -> tuple[Mx, ...]:
        return await new_session().mx("acme.test")

    with Nameserver(ACME) as server:
        assert _network(server).run(main) == (Mx(10, "a.acme.test"), Mx(20, "b.acme.test"))


def test_txt_strings_are_joined() -> None:
    with Nameserver(ACME) as server:
        assert _ask(server, name="acme.test", rdtype="TXT").rdatas == ("v=spf1 -all",)


def test_missing_name_has_ttl_of_soa() -> None:
    with Nameserver(ACME) as server:
        assert _ask(server, name="no.acme.test") == Answer("no.acme.test", "A", "NXDOMAIN", ttl=60)


def test_empty_nonterminal_exists() -> None:
    with Nameserver(ACME) as server:
        assert _ask(server, name="below.acme.test").exists


@pytest.mark.parametrize("follows", [True, False])
def test_aliases_are_followed_by_server_or_resolver(follows: bool) -> None:
    with Nameserver(ACME, follows=follows) as server:
        answer = _ask(server, name="www.acme.test")
    assert answer.aliases == ("web.acme.test", "acme.test")
    assert (answer.name, answer.rdatas) == ("www.acme.test", ("192.0.2.1",))


@pytest.mark.parametrize("follows", [True, False])
def test_end_of_alias_chain_determines_existence(follows: bool) -> None:
    with Nameserver(ACME, follows=follows) as server:
        answer = _ask(server, name="dangling.acme.test")
    assert (answer.rcode, answer.aliases) == ("NXDOMAIN", ("gone.test",))


@pytest.mark.parametrize("follows", [True, False])
def test_alias_is_not_followed_in_cname_query(follows: bool) -> None:
    with Nameserver(ACME, follows=follows) as server:
        answer = _ask(server, name="www.acme.test", rdtype="CNAME")
    assert (answer.rdatas, answer.aliases) == (("web.acme.test",), ())


@pytest.mark.parametrize("follows", [True, False])
def test_at_most_eight_aliases_are_followed(follows: bool) -> None:
    with Nameserver(ACME, follows=follows) as server:
        assert len(_ask(server, name="hop1.test").aliases) == 8
        assert _reason(server, name="hop0.test") == "garbage"


@pytest.mark.parametrize("follows", [True, False])
def test_alias_loop_is_garbage(follows: bool) -> None:
    with Nameserver(ACME, follows=follows) as server:
        assert _reason(server, name="loop.acme.test") == "garbage"


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (Failure.SERVFAIL, "servfail"),
        (Failure.REFUSED, "refused"),
        (Failure.REFERRAL, "garbage"),
        (Failure.SILENT, "timeout"),
        (Failure.GARBAGE, "garbage"),
    ],
)
def test_silent_or_failing_server_is_undetermined(failure: Failure, reason: str) -> None:
    with Nameserver(ACME, {"acme.test": failure}) as server:
        assert _reason(server, name="acme.test", seconds=0.2) == reason


def test_closed_port_is_undetermined() -> None:
    with Nameserver(ACME) as server:
        pass
    assert _reason(server, name="acme.test") == "network"


@pytest.mark.parametrize("failure", [Failure.SERVFAIL, Failure.REFUSED, Failure.SILENT])
def test_next_server_is_queried_after_failure(failure: Failure) -> None:
    with Nameserver(ACME, {"acme.test": failure}) as bad, Nameserver(ACME) as good:
        assert _ask(bad, good, name="acme.test", seconds=2).rdatas == ("192.0.2.1",)


def test_silent_server_is_queried_twice() -> None:
    with Nameserver(ACME, {"acme.test": Failure.SILENT}) as server:
        _reason(server, name="acme.test", seconds=0.2)
        assert server.queried == [("acme.test", "A")] * 2


@pytest.mark.parametrize(
    "failure",
    [
        Failure.WRONG_ID,
        Failure.WRONG_SOURCE,
        Failure.WRONG_QUESTION,
        Failure.ANOTHER_CASE,
        Failure.TRUNCATED,
    ],
)
def test_forged_response_is_ignored(failure: Failure) -> None:
    with Nameserver(ACME, {"acme.test": failure}) as server:
        assert _ask(server, name="acme.test").rdatas == ("192.0.2.1",)


@pytest.mark.parametrize("name", ["a..test", "a" * 64 + ".test", ".".join(["a" * 49] * 6)])
def test_impossible_name_does_not_exist_without_query(name: str) -> None:
    with Nameserver(ACME) as server:
        assert _ask(server, name=name).rcode == "NXDOMAIN"
        assert server.queried == []


@pytest.mark.parametrize("authenticated", [True, False])
def test_ad_bit_of_loopback_server_is_trusted(authenticated: bool) -> None:
    with Nameserver(ACME, authenticated=authenticated) as server:
        assert _ask(server, name="acme.test").authenticated is authenticated


def test_checking_disabled_is_a_separate_query() -> None:
    async def main(new_session: SessionFactory) -> int:
        answers = new_session()
        await answers.resolve("acme.test", "A")
        await answers.resolve("acme.test", "A", checking_disabled=True)
        return answers.query_count

    with Nameserver(ACME) as server:
        assert _network(server).run(main) == 2
        assert [flags & 0x10 for flags in server.flags] == [0, 0x10]
        assert [flags & 0x20 for flags in server.flags] == [0x20, 0x20]


def test_cached_answers_are_shared_without_budget() -> None:
    async def main(new_session: SessionFactory) -> list[int]:
        scans = [new_session() for _ in range(3)]
        await scans[0].resolve("acme.test", "A")
        await asyncio.gather(*(scan.resolve("acme.test", "A") for scan in scans))
        return [scan.query_count for scan in scans]

    with Nameserver(ACME) as server:
        assert _network(server, budget=1).run(main) == [1, 0, 0]
        assert len(server.queried) == 1


@pytest.mark.parametrize("name", ["acme.test", "no.test", "servfail.test"])
def test_concurrent_queries_are_coalesced(name: str) -> None:
    async def main(new_session: SessionFactory) -> tuple[list[Answer | BaseException], int]:
        scans = [new_session() for _ in range(50)]
        asking = (scan.resolve(name, "A") for scan in scans)
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        return outcomes, sum(scan.query_count for scan in scans)

    with Nameserver(ACME, {"servfail.test": Failure.SERVFAIL}) as server:
        outcomes, count = _network(server).run(main)
        assert len({str(outcome) for outcome in outcomes}) == 1
        assert count == len(server.queried) == 1


def test_cancelled_waiter_does_not_cancel_others() -> None:
    with Nameserver(ACME, {"acme.test": Failure.HELD}) as server:

        async def main(new_session: SessionFactory) -> Answer:
            first = asyncio.create_task(new_session().resolve("acme.test", "A"))
            await asyncio.sleep(0)
            second = asyncio.create_task(new_session().resolve("acme.test", "A"))
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            server.release.set()
            return await second

        assert _network(server).run(main).rdatas == ("192.0.2.1",)
        assert len(server.queried) == 1


def test_queries_beyond_budget_are_undetermined() -> None:
    async def main(new_session: SessionFactory) -> str:
        answers = new_session()
        for number in range(3):
            await answers.resolve(f"n{number}.test", "A")
        with pytest.raises(LookupFailed) as caught:
            await answers.resolve("n3.test", "A")
        await answers.resolve("n0.test", "A")
        assert answers.query_count == 3
        await new_session().resolve("n3.test", "A")
        return caught.value.reason

    with Nameserver(ACME) as server:
        assert _network(server, budget=3).run(main) == "budget"


def test_each_followed_alias_costs_budget() -> None:
    async def main(new_session: SessionFactory) -> int:
        answers = new_session()
        await answers.resolve("www.acme.test", "A")
        return answers.query_count

    with Nameserver(ACME, follows=False) as server:
        assert _network(server).run(main) == 3


@pytest.mark.parametrize(
    ("records", "types"),
    [
        ({("_dmarc.acme.test", "TXT"): ['"v=DMARC1; p=none"']}, ["A"]),
        ({("_dmarc.acme.test", "CNAME"): ["acme.test."]}, ["A", "CNAME"]),
        ({("_dmarc.acme.test", "A"): ["192.0.2.3"]}, ["A", "CNAME"]),
        ({}, ["A", "CNAME"]),
    ],
    ids=["no address", "alias", "address", "no name"],
)
@pytest.mark.parametrize("is_pending", [True, False], ids=["at the same time", "afterwards"])
def test_answer_without_address_or_alias_is_one_for_cname(
    records: dict[tuple[str, str], list[str]], types: list[str], is_pending: bool
) -> None:
    name = "_dmarc.acme.test"

    async def main(new_session: SessionFactory) -> tuple[str, ...]:
        answers = new_session()
        answers.prefetch((name, "A"))
        if not is_pending:
            await answers.resolve(name, "A")
        return await answers.hosts(name, "CNAME")

    with Nameserver({**ACME, **records}) as server:
        targets = _network(server).run(main)
        assert [queried_type for _, queried_type in server.queried] == types
    assert targets == tuple(t.removesuffix(".") for t in records.get((name, "CNAME"), []))


def test_failed_query_for_addresses_is_no_answer_for_cname() -> None:
    with Nameserver(ACME, {"www.acme.test": Failure.SERVFAIL}) as server:

        async def main(new_session: SessionFactory) -> Answer:
            answers = new_session()
            with pytest.raises(LookupFailed):
                await answers.resolve("www.acme.test", "A")
            server.failures = {}
            return await answers.resolve("www.acme.test", "CNAME")

        assert _network(server).run(main).rdatas == ("web.acme.test",)


def test_run_with_pending_queries_ends_cleanly() -> None:
    async def main(new_session: SessionFactory) -> None:
        asking = asyncio.create_task(new_session().resolve("acme.test", "A"))
        await asyncio.sleep(0)
        asking.cancel()

    with Nameserver(ACME, {"acme.test": Failure.SILENT}) as server:
        _network(server).run(main)


def test_many_concurrent_queries_are_answered() -> None:
    async def main(new_session: SessionFactory) -> int:
        answers: Resolver = new_session()
        responses = await asyncio.gather(*(answers.resolve(f"n{n}.test", "A") for n in range(150)))
        return sum(answer.rcode == "NXDOMAIN" for answer in responses)

    with Nameserver(ACME) as server:
        assert _network(server, seconds=30, budget=150).run(main) == 150


@pytest.mark.parametrize(
    ("ttl", "seconds"), [(0, 1), (300, 300), (2**31 - 1, 3600)], ids=["least", "as said", "most"]
)
def test_answer_is_cached_for_its_ttl_within_bounds(ttl: int, seconds: int) -> None:
    assert resolver.cache_seconds(Answer("acme.test", "A", "NOERROR", ttl=ttl)) == seconds


def test_full_cache_forgets_the_oldest_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "MAX_CACHED", 4)

    async def main(new_session: SessionFactory) -> int:
        answers = new_session()
        for number in (0, 1, 2, 3, 4, 3, 4, 0):
            await answers.resolve(f"n{number}.test", "A")
        return answers.query_count

    with Nameserver(ACME) as server:
        assert _network(server).run(main) == 6
        assert [name for name, _ in server.queried] == [f"n{n}.test" for n in (0, 1, 2, 3, 4, 0)]


def test_first_of_two_aliases_is_followed() -> None:
    records = [("a.test", 5, "b.test"), ("a.test", 5, "c.test"), ("b.test", 1, "192.0.2.1")]
    message = wire.Message(
        id=1,
        rcode=0,
        truncated=False,
        authenticated=False,
        question=("a.test", 1),
        answers=tuple(wire.Record(owner=o, rdtype=t, ttl=9, rdata=r) for o, t, r in records),
    )
    assert resolver.read_answer("a.test", "A", message).answer.aliases == ("b.test",)


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("nameserver 192.0.2.53\nnameserver ::1\n", (("192.0.2.53", 53), ("::1", 53))),
        ("# nameserver 192.0.2.53\nsearch test\nnameserver\n", (("127.0.0.1", 53),)),
        ("", (("127.0.0.1", 53),)),
    ],
)
def test_name_servers_come_from_resolv_conf(
    text: str, servers: tuple[tuple[str, int], ...], tmp_path: Path
) -> None:
    (tmp_path / "resolv.conf").write_text(text)
    assert resolver.system_nameservers(tmp_path / "resolv.conf") == servers


def test_loopback_is_used_without_resolv_conf(tmp_path: Path) -> None:
    assert resolver.system_nameservers(tmp_path / "none") == (("127.0.0.1", 53),)

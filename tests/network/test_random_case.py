"""Random case in queries, and the handling of answers that do not preserve it."""

import asyncio

import pytest
import uvloop

from app.network.dns.resolver import LiveResolver, Shared
from app.network.dns.transport import Transport
from app.ports.dns import LookupFailed
from tests.support.name_server import SPOOFED_ADDRESS, Failure, Nameserver

FIRST = "many-letters-whose-case-is-drawn-by-lot.test"
SECOND = f"b{FIRST}"
RECORDS = {(FIRST, "A"): ["192.0.2.1"], (SECOND, "A"): ["192.0.2.2"]}


def resolve_all(server: Nameserver, *names: str, trusts_loopback: bool = False) -> list[str]:
    """The addresses of the names, queried in order."""

    async def main() -> list[str]:
        transport = Transport([server.address], 5, trusts_loopback=trusts_loopback)
        shared = Shared(transport)
        answers = LiveResolver(shared, 9)
        try:
            return [str((await answers.resolve(name, "A")).rdatas[0]) for name in names]
        finally:
            shared.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def test_each_query_has_random_case() -> None:
    with Nameserver(RECORDS) as server:
        resolve_all(server, FIRST)
        resolve_all(server, FIRST)
        first, second = server.spelled
        assert first.lower() == second.lower() == FIRST
        assert len({first, second, FIRST}) == 3


def test_loopback_server_is_queried_in_lower_case() -> None:
    with Nameserver(RECORDS) as server:
        resolve_all(server, FIRST, trusts_loopback=True)
        assert server.spelled == [FIRST]


def test_server_that_loses_case_is_queried_in_lower_case_afterwards() -> None:
    failures = dict.fromkeys((FIRST, SECOND), Failure.ANOTHER_CASE)
    with Nameserver(RECORDS, failures) as server:
        assert resolve_all(server, FIRST, SECOND) == ["192.0.2.1", "192.0.2.2"]
        assert server.spelled[1:] == [SECOND]


def test_server_that_loses_case_without_tcp_is_accepted() -> None:
    with Nameserver(RECORDS, {FIRST: Failure.ANOTHER_CASE}, has_tcp=False) as server:
        assert resolve_all(server, FIRST) == ["192.0.2.1"]


def test_answer_with_other_case_is_repeated_over_tcp() -> None:
    with Nameserver(RECORDS, {FIRST: Failure.MISSPELT}) as server:
        assert resolve_all(server, FIRST) == ["192.0.2.1"]
        assert resolve_all(server, FIRST, trusts_loopback=True) == [SPOOFED_ADDRESS]


def test_answer_with_other_case_is_forged_if_server_preserved_case_before() -> None:
    failures = {SECOND: Failure.MISSPELT}
    with Nameserver(RECORDS, failures) as server:
        assert resolve_all(server, FIRST, SECOND) == ["192.0.2.1", "192.0.2.2"]
    with (
        Nameserver(RECORDS, failures, has_tcp=False) as server,
        pytest.raises(LookupFailed),
    ):
        resolve_all(server, FIRST, SECOND)

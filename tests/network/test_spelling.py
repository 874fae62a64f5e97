"""The case of questions, drawn by lot, and what is made of answers that do not repeat it."""

import asyncio
from typing import Any

import pytest
import uvloop

from app.network.dns.resolver import LiveResolver, Shared
from app.network.dns.transport import Transport
from app.ports.dns import LookupFailed
from tests.network.nameserver import LIE, Nameserver, Trouble

FIRST = "many-letters-whose-case-is-drawn-by-lot.test"
SECOND = f"b{FIRST}"
RECORDS = {(FIRST, "A"): ["192.0.2.1"], (SECOND, "A"): ["192.0.2.2"]}


def ask(server: Nameserver, *names: str, trusts_loopback: bool = False) -> list[str]:
    """The addresses of the names, asked for one after another."""

    async def main() -> list[str]:
        transport = Transport([server.address], 5, trusts_loopback=trusts_loopback)
        shared, nobody = Shared(transport), None
        unused: Any = nobody
        answers = LiveResolver(shared, unused, unused, 9)
        try:
            return [str((await answers.resolve(name, "A")).rdatas[0]) for name in names]
        finally:
            shared.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def test_each_question_is_spelled_by_lot() -> None:
    with Nameserver(RECORDS) as server:
        ask(server, FIRST)
        ask(server, FIRST)
        first, second = server.spelled
        assert first.lower() == second.lower() == FIRST
        assert len({first, second, FIRST}) == 3


def test_a_server_of_this_machine_is_asked_in_lower_case() -> None:
    with Nameserver(RECORDS) as server:
        ask(server, FIRST, trusts_loopback=True)
        assert server.spelled == [FIRST]


def test_a_server_that_keeps_no_case_is_asked_in_lower_case_from_then_on() -> None:
    troubles = dict.fromkeys((FIRST, SECOND), Trouble.ANOTHER_CASE)
    with Nameserver(RECORDS, troubles) as server:
        assert ask(server, FIRST, SECOND) == ["192.0.2.1", "192.0.2.2"]
        assert server.spelled[1:] == [SECOND]


def test_a_server_that_keeps_no_case_and_has_no_tcp_is_understood() -> None:
    with Nameserver(RECORDS, {FIRST: Trouble.ANOTHER_CASE}, has_tcp=False) as server:
        assert ask(server, FIRST) == ["192.0.2.1"]


def test_an_answer_that_is_not_spelled_as_ours_is_asked_for_over_tcp() -> None:
    with Nameserver(RECORDS, {FIRST: Trouble.MISSPELT}) as server:
        assert ask(server, FIRST) == ["192.0.2.1"]
        assert ask(server, FIRST, trusts_loopback=True) == [LIE]


def test_of_a_server_that_has_kept_the_case_it_is_a_lie_whatever_tcp_does() -> None:
    troubles = {SECOND: Trouble.MISSPELT}
    with Nameserver(RECORDS, troubles) as server:
        assert ask(server, FIRST, SECOND) == ["192.0.2.1", "192.0.2.2"]
    with (
        Nameserver(RECORDS, troubles, has_tcp=False) as server,
        pytest.raises(LookupFailed),
    ):
        ask(server, FIRST, SECOND)

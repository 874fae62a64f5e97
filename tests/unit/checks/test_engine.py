"""Many subjects are checked concurrently; timeouts and errors stay isolated."""

import asyncio
import logging

import pytest

from app.checks.engine.runner import ScanResult, Stream, run_checks, stream_checks
from app.checks.engine.types import Check, Outcome, Subject, Verdict, check
from app.ports.network import NetworkSession
from app.protocols.names import DomainName
from tests.support.zones import SERVFAIL, Zone

SUBJECTS = {key: Subject(DomainName(f"{key}.example.org")) for key in ("a", "b", "c", "d")}
ONE = {"a": SUBJECTS["a"]}
FAR = 600.0  # seconds; longer than any test


@check("quick", finds=())
async def quick(subject: Subject, dns: NetworkSession) -> Outcome:
    return Outcome({"texts": list(await dns.txt(subject.domain))})


@check("endless", finds=())
async def endless(subject: Subject, dns: NetworkSession) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError


@check("broken", finds=())
async def broken(subject: Subject, dns: NetworkSession) -> Outcome:
    raise ZeroDivisionError


def empty() -> NetworkSession:
    """Answers for one subject."""
    return Zone({"example.org": []})


async def test_late_check_is_undetermined_and_others_keep_their_results() -> None:
    done = await run_checks(ONE, empty, concurrency=1, seconds=0.01, checks=(quick, endless))
    stands, late = done["a"].check_results
    assert (stands.check, stands.verdict, stands.definite) == ("quick", Verdict.OK, True)
    assert (late.check, late.verdict, late.definite) == ("endless", Verdict.UNDETERMINED, False)
    assert (late.facts, late.findings) == ({"undetermined": True}, ())
    assert late.reason == "no answer within 0.01 s"


async def test_failing_check_does_not_affect_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        done = await run_checks(SUBJECTS, empty, concurrency=2, seconds=FAR, checks=(broken, quick))
    verdicts = [
        [check_result.verdict for check_result in scan_result.check_results]
        for scan_result in done.values()
    ]
    assert verdicts == [[Verdict.UNDETERMINED, Verdict.OK]] * 4
    assert [record.message for record in caplog.records] == ["check failed"] * 4
    assert caplog.records[0].exc_info is not None


async def test_each_result_is_delivered_when_complete() -> None:
    delivered: dict[str, ScanResult] = {}

    async def on_done(key: str, scan_result: ScanResult) -> None:
        assert key not in delivered
        delivered[key] = scan_result

    stream = Stream(SUBJECTS, on_done)
    await stream_checks(stream, empty, concurrency=2, seconds=FAR, checks=(quick,))
    assert delivered.keys() == SUBJECTS.keys()


async def test_first_result_is_delivered_while_others_run() -> None:
    delivered: list[str] = []
    first_has_finished = asyncio.Event()

    @check("patient", finds=())
    async def patient(subject: Subject, dns: NetworkSession) -> Outcome:
        if subject is not SUBJECTS["a"]:
            await first_has_finished.wait()
        return Outcome({})

    async def on_done(key: str, _: ScanResult) -> None:
        delivered.append(key)
        first_has_finished.set()

    await stream_checks(
        Stream(SUBJECTS, on_done), empty, concurrency=4, seconds=FAR, checks=(patient,)
    )
    assert delivered[0] == "a"
    assert sorted(delivered) == ["a", "b", "c", "d"]


async def test_concurrency_limit_holds() -> None:
    under_way: set[str] = set()
    most = 0

    @check("counting", finds=())
    async def counting(subject: Subject, dns: NetworkSession) -> Outcome:
        nonlocal most
        under_way.add(subject.domain)
        most = max(most, len(under_way))
        for _ in range(5):
            await asyncio.sleep(0)
        under_way.remove(subject.domain)
        return Outcome({})

    await run_checks(SUBJECTS, empty, concurrency=2, seconds=FAR, checks=(counting,))
    assert most == 2


async def test_each_subject_has_its_own_answers() -> None:
    opened: list[NetworkSession] = []

    def new_session() -> NetworkSession:
        opened.append(Zone({}, budget=1))
        return opened[-1]

    done = await run_checks(SUBJECTS, new_session, concurrency=1, seconds=FAR, checks=(quick,))
    assert len(opened) == 4
    assert {
        check_result.verdict
        for scan_result in done.values()
        for check_result in scan_result.check_results
    } == {Verdict.OK}


async def test_failed_lookup_is_undetermined_with_reason() -> None:
    zone = Zone({"a.example.org": SERVFAIL})
    done = await run_checks(ONE, lambda: zone, concurrency=1, seconds=FAR, checks=(quick,))
    (check_result,) = done["a"].check_results
    assert (check_result.verdict, check_result.reason) == (
        Verdict.UNDETERMINED,
        "a.example.org TXT: servfail",
    )
    assert [record.rcode for record in check_result.records] == ["servfail"]


@pytest.mark.parametrize("checks", [(endless,), (endless, quick, endless)])
async def test_cancelled_run_leaves_no_task(checks: tuple[Check, ...]) -> None:
    before = asyncio.all_tasks()
    started = asyncio.Event()

    def new_session() -> NetworkSession:
        started.set()
        return empty()

    scan_result = asyncio.create_task(
        run_checks(SUBJECTS, new_session, concurrency=3, seconds=FAR, checks=checks)
    )
    await started.wait()
    await asyncio.sleep(0)
    scan_result.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scan_result
    assert asyncio.all_tasks() == before


async def test_timeout_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    await run_checks(SUBJECTS, empty, concurrency=2, seconds=0.01, checks=(endless, endless))
    assert asyncio.all_tasks() == before


async def test_error_in_callback_ends_the_run() -> None:
    before = asyncio.all_tasks()

    async def on_done(key: str, _: ScanResult) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await stream_checks(
            Stream(SUBJECTS, on_done), empty, concurrency=2, seconds=FAR, checks=(quick,)
        )
    assert asyncio.all_tasks() == before


async def test_no_subjects_give_no_results() -> None:
    no_subjects: dict[str, Subject] = {}
    assert await run_checks(no_subjects, empty, concurrency=4, seconds=FAR) == {}


async def test_further_subjects_are_requested_until_there_are_none() -> None:
    batches: list[list[str]] = [["d"], ["b", "c"]]
    delivered: list[str] = []

    async def more() -> dict[str, Subject]:
        await asyncio.sleep(0)
        return {key: SUBJECTS[key] for key in (batches.pop() if batches else [])}

    async def on_done(key: str, _: ScanResult) -> None:
        delivered.append(key)

    await stream_checks(
        Stream(ONE, on_done, more), empty, concurrency=4, seconds=FAR, checks=(quick,)
    )
    assert sorted(delivered) == ["a", "b", "c", "d"]
    assert batches == []


async def test_further_subjects_are_requested_before_the_last_one_is_taken() -> None:
    left_at_request: list[int] = []
    is_requested = asyncio.Event()

    @check("waiting", finds=())
    async def waiting(subject: Subject, dns: NetworkSession) -> Outcome:
        await is_requested.wait()
        return Outcome({})

    delivered: list[str] = []

    async def more() -> dict[str, Subject]:
        left_at_request.append(len(SUBJECTS) - len(delivered))
        is_requested.set()
        return {}

    async def on_done(key: str, _: ScanResult) -> None:
        delivered.append(key)

    await stream_checks(
        Stream(SUBJECTS, on_done, more), empty, concurrency=3, seconds=FAR, checks=(waiting,)
    )
    assert sorted(delivered) == sorted(SUBJECTS)
    assert left_at_request == [4]


async def test_request_that_is_running_ends_with_the_run() -> None:
    before = asyncio.all_tasks()
    is_ended = False

    async def more() -> dict[str, Subject]:
        nonlocal is_ended
        try:
            await asyncio.Event().wait()
        finally:
            is_ended = True
        return {}

    async def on_done(key: str, _: ScanResult) -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await stream_checks(
            Stream(SUBJECTS, on_done, more), empty, concurrency=4, seconds=FAR, checks=(quick,)
        )
    assert is_ended
    assert asyncio.all_tasks() == before


async def test_error_of_a_request_ends_the_run() -> None:
    async def more() -> dict[str, Subject]:
        raise ZeroDivisionError

    async def on_done(key: str, _: ScanResult) -> None:
        await asyncio.sleep(0)

    with pytest.raises(ZeroDivisionError):
        await stream_checks(
            Stream(SUBJECTS, on_done, more), empty, concurrency=2, seconds=FAR, checks=(quick,)
        )


async def test_slow_subject_does_not_delay_further_subjects() -> None:
    rest = {key: SUBJECTS[key] for key in ("c", "d")}
    delivered: list[str] = []
    is_enough = asyncio.Event()

    @check("stuck", finds=())
    async def stuck(subject: Subject, dns: NetworkSession) -> Outcome:
        if subject is SUBJECTS["a"]:
            await is_enough.wait()
        return Outcome({})

    async def more() -> dict[str, Subject]:
        subjects = dict(rest)
        rest.clear()
        return subjects

    async def on_done(key: str, _: ScanResult) -> None:
        delivered.append(key)
        if len(delivered) == 3:
            is_enough.set()

    both = {key: SUBJECTS[key] for key in ("a", "b")}
    await stream_checks(
        Stream(both, on_done, more), empty, concurrency=2, seconds=FAR, checks=(stuck,)
    )
    assert delivered == ["b", "c", "d", "a"]

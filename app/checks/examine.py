"""Many subjects examined at once, in one event loop."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from app.checks import CHECKS
from app.checks.answers import Answers, OpenAnswers
from app.checks.contract import Check, Judgement, Subject, Verdict, judge

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Examination:
    """What all checks said of one subject, in the order of the checks."""

    judgements: tuple[Judgement, ...]
    query_count: int
    elapsed_ms: int


async def examine(
    subjects: Mapping[K, Subject],
    open_answers: OpenAnswers,
    *,
    concurrency: int,
    seconds: float,
    on_done: Callable[[K, Examination], Awaitable[None]] | None = None,
    checks: Sequence[Check] = CHECKS,
) -> dict[K, Examination]:
    """All checks of all subjects; each subject has Answers, and so a budget, of its own.

    concurrency  how many subjects are under way at a time
    seconds      after which what has not answered of a subject is undetermined
    on_done      given each as soon as it is over; then nothing is returned
    """
    done: dict[K, Examination] = {}
    waiting = iter(subjects.items())

    async def work() -> None:
        for key, subject in waiting:  # shared by all workers: each takes the next
            examination = await _examine(subject, open_answers(), seconds, checks)
            if on_done is None:
                done[key] = examination
            else:
                await on_done(key, examination)

    workers = [asyncio.create_task(work()) for _ in range(min(concurrency, len(subjects)))]
    try:
        await asyncio.gather(*workers)
    finally:
        await _cancel(workers)
    return done


async def _examine(
    subject: Subject, dns: Answers, seconds: float, checks: Sequence[Check]
) -> Examination:
    started = time.monotonic()
    tasks = [asyncio.create_task(judge(check, subject, dns)) for check in checks]
    try:
        await asyncio.wait(tasks, timeout=seconds)
        judgements = tuple(
            task.result() if task.done() else _too_late(check, seconds)
            for check, task in zip(checks, tasks, strict=True)
        )
    finally:
        await _cancel(tasks)
    return Examination(
        judgements=judgements,
        query_count=dns.query_count,
        elapsed_ms=round((time.monotonic() - started) * 1000),
    )


async def _cancel(tasks: Iterable[asyncio.Task[object]]) -> None:
    unfinished = [task for task in tasks if not task.done()]
    for task in unfinished:
        task.cancel()
    if unfinished:
        await asyncio.wait(unfinished)


def _too_late(check: Check, seconds: float) -> Judgement:
    return Judgement(
        check=check.name,
        logic_version=check.logic_version,
        verdict=Verdict.UNDETERMINED,
        facts={"undetermined": True},
        findings=(),
        records=(),
        elapsed_ms=round(seconds * 1000),
        definite=False,
        reason=f"no answer within {seconds:g} s",
    )

"""Run the checks of many subjects concurrently, in one event loop."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.checks import CHECKS
from app.checks.engine.execution import run_recorded
from app.checks.engine.proof import prove_together
from app.checks.engine.types import Check, CheckResult, Subject, Verdict
from app.ports.network import NetworkSession, SessionFactory

K = TypeVar("K")
More = Callable[[], Awaitable[Mapping[K, Subject]]]


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The results of all checks of one subject, in the order of the checks."""

    check_results: tuple[CheckResult, ...]
    query_count: int
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class Stream(Generic[K]):
    """Subjects that are checked while further subjects arrive.

    on_done  called with each result as soon as it is complete
    more     called for further subjects when few have no worker yet, until it returns none
    """

    subjects: Mapping[K, Subject]
    on_done: Callable[[K, ScanResult], Awaitable[None]]
    more: More[K] | None = None


async def run_checks(
    subjects: Mapping[K, Subject],
    new_session: SessionFactory,
    *,
    concurrency: int,
    seconds: float,
    checks: Sequence[Check] = CHECKS,
) -> dict[K, ScanResult]:
    """Return the results of all checks of all subjects; see ``stream_checks``."""
    results: dict[K, ScanResult] = {}

    async def on_done(key: K, result: ScanResult) -> None:
        results[key] = result

    await stream_checks(
        Stream(subjects, on_done),
        new_session,
        concurrency=concurrency,
        seconds=seconds,
        checks=checks,
    )
    return results


async def stream_checks(
    stream: Stream[K],
    new_session: SessionFactory,
    *,
    concurrency: int,
    seconds: float,
    checks: Sequence[Check] = CHECKS,
) -> None:
    """Run all checks of all subjects; each subject has its own session and query budget.

    concurrency  the number of subjects to check at a time
    seconds      the time limit of a subject; checks without a result by then are undetermined
    """
    queue = _Pending(stream.subjects, stream.more, concurrency // 2)

    async def work() -> None:
        while (item := await queue.take()) is not None:
            key, subject = item
            await stream.on_done(key, await _run_subject(subject, new_session(), seconds, checks))

    count = min(concurrency, len(stream.subjects))
    workers = [asyncio.create_task(work()) for _ in range(count)]
    try:
        await asyncio.gather(*workers)
    finally:
        await _cancel(workers)
        await queue.close()


class _Pending(Generic[K]):
    """The queue of subjects without a worker, shared by all workers.

    Further subjects are requested before the last one is taken, so that workers rarely wait.

    spare  further subjects are requested when at most this number is left
    """

    def __init__(self, subjects: Mapping[K, Subject], more: More[K] | None, spare: int) -> None:
        self._subjects, self._more, self._spare = deque(subjects.items()), more, spare
        self._request: asyncio.Task[None] | None = None

    async def take(self) -> tuple[K, Subject] | None:
        """The next subject; None when there are no more."""
        while not self._subjects:
            request = self._requested()
            if request is None:
                return None
            await asyncio.shield(request)
        item = self._subjects.popleft()
        self._requested()
        return item

    def _requested(self) -> asyncio.Task[None] | None:
        """The running request for further subjects, which starts if few are left."""
        if self._request is not None and self._request.done():
            self._request = self._request.result()
        if self._request is None and self._more and len(self._subjects) <= self._spare:
            self._request = asyncio.create_task(self._refill(self._more))
        return self._request

    async def _refill(self, more: More[K]) -> None:
        found = await more()
        self._subjects.extend(found.items())
        if not found:
            self._more = None

    async def close(self) -> None:
        """Cancel the running request."""
        await _cancel([self._request] if self._request else [])


async def _run_subject(
    subject: Subject, dns: NetworkSession, seconds: float, checks: Sequence[Check]
) -> ScanResult:
    started = time.monotonic()
    tasks = [asyncio.create_task(run_recorded(check, subject, dns)) for check in checks]
    try:
        await asyncio.wait(tasks, timeout=seconds)
        runs = {
            check.name: task.result()
            for check, task in zip(checks, tasks, strict=True)
            if task.done()
        }
    finally:
        await _cancel(tasks)
    proven = dict(zip(runs, await prove_together(subject, list(runs.values())), strict=True))
    results = tuple(proven.get(check.name) or _timed_out(check, seconds) for check in checks)
    return ScanResult(
        check_results=results,
        query_count=dns.query_count,
        elapsed_ms=round((time.monotonic() - started) * 1000),
    )


async def _cancel(tasks: Iterable[asyncio.Task[object]]) -> None:
    unfinished = [task for task in tasks if not task.done()]
    for task in unfinished:
        task.cancel()
    if unfinished:
        await asyncio.wait(unfinished)


def _timed_out(check: Check, seconds: float) -> CheckResult:
    return CheckResult(
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

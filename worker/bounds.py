"""How much of this machine one file may take, whatever is in it."""

import math
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from app import settings

_PAGE = resource.getpagesize()


@contextmanager
def one_file() -> Iterator[None]:
    """Raise TimeoutError after INTAKE_CPU_SECONDS of CPU, MemoryError above INTAKE_MEMORY_BYTES.

    effects  limits of this process, which are as before afterwards: jobs that follow have their own
    """
    current = settings.current()
    bound = time.process_time() + current.intake_cpu_seconds

    def hear(_: int, __: FrameType | None) -> None:
        # The kernel may say late that the file before had its time, and says it every second.
        if time.process_time() >= bound:
            raise TimeoutError("one file has had its time")

    before = signal.signal(signal.SIGXCPU, hear)
    try:
        with (
            _soft(resource.RLIMIT_CPU, math.ceil(bound)),
            _soft(resource.RLIMIT_DATA, _data_bytes() + current.intake_memory_bytes),
        ):
            try:
                yield
            finally:
                bound = math.inf  # what is heard from here on must not keep limits in place
    finally:
        signal.signal(signal.SIGXCPU, before)


@contextmanager
def _soft(which: int, limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(which)
    lowest = min(value for value in (limit, soft, hard) if value != resource.RLIM_INFINITY)
    resource.setrlimit(which, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(which, (soft, hard))


def _data_bytes() -> int:
    """What the process has by now: the kernel counts it with what is to come."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[5]) * _PAGE

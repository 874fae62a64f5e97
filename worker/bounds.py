"""How much of this machine one file may take, whatever is in it."""

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
    seconds = int(time.process_time()) + 1 + current.intake_cpu_seconds
    before = signal.signal(signal.SIGXCPU, _time_is_up)
    try:
        with (
            _soft(resource.RLIMIT_CPU, seconds),
            _soft(resource.RLIMIT_DATA, _data_bytes() + current.intake_memory_bytes),
        ):
            yield
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


def _time_is_up(_: int, __: FrameType | None) -> None:
    raise TimeoutError("one file has had its time")

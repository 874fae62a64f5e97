"""How much CPU time and memory parsing one file may take, whatever the file contains."""

import math
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from app import settings

BASE_SECONDS, SECONDS_PER_MIB = 1.0, 2.0  # CPU time that a file of any honest sender stays below

_MIB = 1024 * 1024
_TICK_SECONDS = 0.1  # a signal that came at a bad moment comes again
_PAGE = resource.getpagesize()


def cpu_seconds(size_bytes: int) -> float:
    """The CPU time that parsing so many bytes may take: little for a little file."""
    most = settings.current().ingest_cpu_seconds
    return min(float(most), BASE_SECONDS + SECONDS_PER_MIB * size_bytes / _MIB)


@contextmanager
def one_file(size_bytes: int) -> Iterator[None]:
    """Raise TimeoutError above the CPU time for that size, MemoryError above INGEST_MEMORY_BYTES.

    effects  a CPU timer and a memory limit of this process, which are removed afterwards. The
             time that the process has used before does not count.
    """
    current = settings.current()
    seconds = cpu_seconds(size_bytes)
    bound = time.process_time() + seconds

    def on_signal(_: int, __: FrameType | None) -> None:
        if time.process_time() >= bound:  # not a late signal of the file before
            raise TimeoutError("parsing the file takes more CPU time than it may")

    before = signal.signal(signal.SIGPROF, on_signal)
    signal.setitimer(signal.ITIMER_PROF, seconds, _TICK_SECONDS)
    try:
        with _soft(resource.RLIMIT_DATA, _data_bytes() + current.ingest_memory_bytes):
            try:
                yield
            finally:
                bound = math.inf  # a signal from here on must not leave limits in place
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


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

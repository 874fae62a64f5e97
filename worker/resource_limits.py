"""Limits of CPU time and memory for processing one report file."""

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
_TICK_SECONDS = 0.1  # a signal whose exception was lost is sent again
_PAGE = resource.getpagesize()


def cpu_seconds(size_bytes: int) -> float:
    """Return the CPU limit for a file of this size: small files have a low limit."""
    maximum = settings.current().ingest_cpu_seconds
    return min(float(maximum), BASE_SECONDS + SECONDS_PER_MIB * size_bytes / _MIB)


@contextmanager
def one_file(size_bytes: int) -> Iterator[None]:
    """Raise TimeoutError above the CPU time for that size, MemoryError above INGEST_MEMORY_BYTES.

    effects  a CPU timer and a memory limit of this process, removed afterwards; the time that the
             process has used before does not count
    """
    current = settings.current()
    seconds = cpu_seconds(size_bytes)
    bound = time.process_time() + seconds

    def on_signal(_: int, __: FrameType | None) -> None:
        if time.process_time() >= bound:  # a late signal of the previous file is ignored
            raise TimeoutError("the file exceeded its CPU limit")

    previous = signal.signal(signal.SIGPROF, on_signal)
    signal.setitimer(signal.ITIMER_PROF, seconds, _TICK_SECONDS)
    try:
        with _soft(resource.RLIMIT_DATA, _data_bytes() + current.ingest_memory_bytes):
            try:
                yield
            finally:
                bound = math.inf  # a late signal must not prevent restoring the limits
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


@contextmanager
def _soft(resource_type: int, limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource_type)
    lowest = min(value for value in (limit, soft, hard) if value != resource.RLIM_INFINITY)
    resource.setrlimit(resource_type, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource_type, (soft, hard))


def _data_bytes() -> int:
    """Return the current data size of the process, which counts toward the limit."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[5]) * _PAGE

"""``python -m worker [queue …]``: one process for each queue, restarted when it ends.

``lmtp`` can be one of the names: the SMTP and LMTP listener.

The processes are forks of this one, which has imported all modules and built what every job needs,
so a killed worker is replaced within a second. A worker also ends when Redis fails, and another one
starts when Redis is available again. The row of an interrupted job is claimed again by the next
attempt.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import ForkProcess

from app import interpreter, runtime
from app.jobs import queue
from app.services.core import profiles
from app.services.operations import preloading
from app.settings import InvalidSettings, Settings
from worker import rq_worker, shutdown, smtp_receiver
from worker.redis_wait import RedisWait

LMTP = "lmtp"
LOOK_SECONDS = 0.1
PAUSE_SECONDS = 1.0  # between two starts of a worker that ends repeatedly
BAD_SETTINGS = 2  # exit status; a restart would not help
_PR_SET_PDEATHSIG = 1

_fork = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class _Child:
    process: ForkProcess
    started_at: float  # on the monotonic clock

    def should_be_replaced(self) -> bool:
        """Whether it has ended, and not immediately after its start."""
        has_ended = not self.process.is_alive()
        return has_ended and time.monotonic() - self.started_at > PAUSE_SECONDS


def main(names: list[str]) -> int:
    """Run until SIGTERM or SIGINT, and return when every worker has finished its job.

    returns  2 for invalid settings or an unknown queue
    """
    if set(names) - {*queue.QUEUES, LMTP}:
        sys.stderr.write(f"usage: python -m worker [{'|'.join([*queue.QUEUES, LMTP])}] …\n")
        return BAD_SETTINGS
    try:
        settings = Settings.load()
        profiles.load(settings.profiles_file)
    except InvalidSettings as error:
        sys.stderr.write(f"{error}\n")
        return BAD_SETTINGS
    runtime.start(settings)
    interpreter.warn_if_outdated()
    preloading.preload()
    shutdown.listen(signal.SIGTERM, signal.SIGINT)
    children: dict[str, _Child] = {}
    status = _watch(names or queue.QUEUES, children, RedisWait(settings.redis_client_url))
    for child in children.values():
        child.process.terminate()
    for child in children.values():
        child.process.join()
    return status


def _watch(names: Sequence[str], children: dict[str, _Child], redis: RedisWait) -> int:
    """Start workers, and replace those that end, until a stop is requested.

    A worker of a queue starts only while Redis is available.

    effects  ``children`` has the current process for each name
    returns  2 if a worker cannot run
    """
    while not shutdown.is_requested():
        for name in names:
            child = children.get(name)
            if child is not None and child.process.exitcode == BAD_SETTINGS:
                return BAD_SETTINGS
            is_due = child is None or child.should_be_replaced()
            if is_due and (name == LMTP or redis.is_over()) and not shutdown.is_requested():
                children[name] = _start(name)
        time.sleep(LOOK_SECONDS)
    return 0


def _start(name: str) -> _Child:
    started = _fork.Process(target=_run, args=(name, os.getpid()), name=name)
    started.start()
    return _Child(started, time.monotonic())


def _run(name: str, parent: int) -> None:
    """Run one worker in a forked process."""
    os.setsid()  # Ctrl-C in a terminal must reach it only once, through the parent
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    _end_with_parent(parent)
    sys.exit(smtp_receiver.main() if name == LMTP else rq_worker.main(name))


def _end_with_parent(parent: int) -> None:
    """Have Linux send SIGTERM when the parent dies, so that no worker outlives it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # the parent had died before that
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

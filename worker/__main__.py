"""``python -m worker [queue …]``: one process for each queue, restarted when it ends.

``lmtp`` can be one of the names: the SMTP and LMTP listener.

The processes are forks of this one, which has imported all modules, so a killed worker is replaced
within a second. A worker also ends when Redis fails during a job. The row of the job is claimed
again by the next attempt, so the supervisor only has to start another worker.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import ForkProcess

from app import interpreter, runtime
from app.jobs import queue
from app.services.core import profiles
from app.settings import InvalidSettings, Settings
from worker import rq_worker, shutdown, smtp_receiver

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
    queue.is_ready()  # logs why not
    shutdown.listen(signal.SIGTERM, signal.SIGINT)
    children = {name: _start(name) for name in names or queue.QUEUES}
    status = _watch(children)
    for child in children.values():
        child.process.terminate()
    for child in children.values():
        child.process.join()
    return status


def _watch(children: dict[str, _Child]) -> int:
    """Replace workers that end, until a stop is requested; return 2 if one cannot run."""
    while not shutdown.is_requested():
        time.sleep(LOOK_SECONDS)
        for name, child in children.items():
            if child.process.exitcode == BAD_SETTINGS:
                return BAD_SETTINGS
            if child.should_be_replaced() and not shutdown.is_requested():
                children[name] = _start(name)
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

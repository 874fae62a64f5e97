"""``python -m worker [queue …]``: one process for each queue, started again whenever one ends.

``lmtp`` may stand among the queues: the process that takes mails in.

What they all need is imported here, once; they are forks, so that one that was killed is back in a
moment. A worker also ends when Redis goes away in the middle of a job; the job's row is taken up
again by the next attempt, so all there is to do here is to start another.
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
from app.settings import BadSettings, Settings
from worker import rq_worker, shutdown, smtp_receiver

LMTP = "lmtp"
LOOK_SECONDS = 0.1
PAUSE_SECONDS = 1.0  # between two starts of a worker that keeps ending
BAD_SETTINGS = 2  # its exit status then: starting it again would not help
_PR_SET_PDEATHSIG = 1

_fork = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class _Child:
    process: ForkProcess
    started_at: float  # on the monotonic clock

    def is_to_be_replaced(self) -> bool:
        """It has ended, and not a moment after its start."""
        is_over = not self.process.is_alive()
        return is_over and time.monotonic() - self.started_at > PAUSE_SECONDS


def main(names: list[str]) -> int:
    """Run until SIGTERM or SIGINT; returns once every worker has ended its job.

    returns  2 for bad settings, or a queue that does not exist
    """
    if set(names) - {*queue.QUEUES, LMTP}:
        sys.stderr.write(f"usage: python -m worker [{'|'.join([*queue.QUEUES, LMTP])}] …\n")
        return BAD_SETTINGS
    try:
        settings = Settings.from_environ(os.environ)
    except BadSettings as error:
        sys.stderr.write(f"{error}\n")
        return BAD_SETTINGS
    runtime.start(settings)
    interpreter.warn_if_outdated()
    runtime.spare_the_collector()
    shutdown.listen(signal.SIGTERM, signal.SIGINT)
    children = {name: _start(name) for name in names or queue.QUEUES}
    status = _watch(children)
    for child in children.values():
        child.process.terminate()
    for child in children.values():
        child.process.join()
    return status


def _watch(children: dict[str, _Child]) -> int:
    """Replace what ends, until a stop is asked for; or the status of one that is not to run."""
    while not shutdown.is_requested():
        time.sleep(LOOK_SECONDS)
        for name, child in children.items():
            if child.process.exitcode == BAD_SETTINGS:
                return BAD_SETTINGS
            if child.is_to_be_replaced() and not shutdown.is_requested():
                children[name] = _start(name)
    return 0


def _start(name: str) -> _Child:
    started = _fork.Process(target=_run, args=(name, os.getpid()), name=name)
    started.start()
    return _Child(started, time.monotonic())


def _run(name: str, parent: int) -> None:
    """What a fork is for."""
    os.setsid()  # Ctrl-C at a terminal must reach it once, through its parent
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    _end_with_parent(parent)
    sys.exit(smtp_receiver.main() if name == LMTP else rq_worker.main(name))


def _end_with_parent(parent: int) -> None:
    """Ask Linux for SIGTERM when the parent dies, so that no worker outlives it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it was dead before that
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``python -m worker [queue …]``: one process for each queue, started again whenever one ends.

``lmtp`` may stand among the queues: the process that takes mails in.

A worker ends when Redis goes away in the middle of a job; the job's row is taken up again by the
next attempt, so all there is to do here is to start another.
"""

import signal
import subprocess
import sys
import time

from app import queue
from worker import stopping

LMTP = "lmtp"
PAUSE_SECONDS = 1.0  # between two starts of a worker that keeps ending
BAD_SETTINGS = 2  # its exit status then: starting it again would not help


def main(queues: list[str]) -> int:
    """Run until SIGTERM or SIGINT; returns once every worker has ended its job."""
    stopping.listen(signal.SIGTERM, signal.SIGINT)
    running = {name: _start(name) for name in queues or queue.QUEUES}
    status = 0
    while not stopping.is_asked() and not status:
        time.sleep(0.2)
        for name, process in running.items():
            if process.poll() == BAD_SETTINGS:
                status = BAD_SETTINGS
            elif process.returncode is not None and not stopping.is_asked():
                time.sleep(PAUSE_SECONDS)
                running[name] = _start(name)
    for process in running.values():
        process.terminate()
    for process in running.values():
        process.wait()
    return status


def _start(name: str) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C at a terminal must reach the worker once, through us.
    words = ["worker.lmtp"] if name == LMTP else ["worker.process", name]
    command = [sys.executable, "-m", *words]
    return subprocess.Popen(command, start_new_session=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

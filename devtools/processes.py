"""Child processes: each in its own process group, with prefixed output, ended with ./dev."""

import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from devtools import ROOT, log_lines
from devtools.environment import say

GRACE = 25.0  # seconds between asking a process to stop and killing it
WIDTH = 6
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36

_libc = ctypes.CDLL(None)
_printing = threading.Lock()


class Stop(BaseException):
    """A request to stop: Ctrl-C, SIGTERM, or a closed terminal."""


class Died(Exception):
    """A child process ended although the service still runs."""


def end_with_parent(number: int = signal.SIGTERM) -> None:
    """Have the kernel signal the calling child process when its parent is killed."""
    _libc.prctl(_PR_SET_PDEATHSIG, number)


class Child:
    """A process that runs as long as the service."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        variables: Mapping[str, str],
        *,
        on_line: Callable[[str], bool] | None = None,
        keep_open: Sequence[int] = (),
    ) -> None:
        """Start the process.

        on_line    is called with each line; if it returns True, the line is not printed
        keep_open  file descriptors that the process inherits
        """
        self.name = name
        self._on_line = on_line
        self.process = subprocess.Popen(
            command,
            env=dict(variables),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
            pass_fds=keep_open,
            preexec_fn=end_with_parent,
        )
        self._reader = threading.Thread(target=self._pass_on, daemon=True)
        self._reader.start()

    def _pass_on(self) -> None:
        stdout = self.process.stdout
        if stdout is None:
            return
        with stdout as lines:
            for line in lines:
                if self._on_line is None or not self._on_line(line):
                    show(self.name, line)

    def signal(self, number: int) -> None:
        """Send a signal to the process alone: RQ and gunicorn signal their own children."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def kill_group(self) -> None:
        """Kill the process and everything left in its process group."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def finish_printing(self) -> None:
        """Wait until the last lines are printed."""
        self._reader.join(1)


def show(name: str, line: str) -> None:
    """Print a line of a process after its name, in readable form if it is a JSON log line."""
    text = log_lines.readable(line)
    if text is None:
        return
    with _printing, suppress(OSError):  # the terminal may be gone
        for part in text.split("\n"):
            print(f"{name:{WIDTH}} | {part}", flush=True)


class Children:
    """The child processes of this ./dev in start order; the context manager ends them."""

    def __init__(self) -> None:
        self._running: list[Child] = []
        self._is_forced = False

    def __enter__(self) -> "Children":
        for number in SIGNALS:
            signal.signal(number, _raise_stop)
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)  # orphans of children are inherited
        return self

    def __exit__(self, *_: object) -> None:
        for number in SIGNALS:
            signal.signal(number, self._skip_grace)
        if self._running:
            say("stopping")
        # The servers that other processes need were started first, and end last.
        servers = [child for child in self._running if child.name in ("valkey", "demo")]
        self._end([child for child in self._running if child not in servers])
        self._end(servers)
        _kill_orphans()

    def start(self, child: Child) -> Child:
        """Add a child process to those that are watched and ended."""
        self._running.append(child)
        return child

    def check(self) -> None:
        """Return if all children run; raise Died for the first one that does not."""
        for child in self._running:
            if (status := child.process.poll()) is not None:
                child.finish_printing()
                raise Died(f"{child.name} ended unexpectedly ({_exit_reason(status)})")

    def watch(self) -> None:
        """Wait until a child ends, and raise Died."""
        while True:
            self.check()
            time.sleep(0.2)

    def _skip_grace(self, _number: int, _frame: FrameType | None) -> None:
        self._is_forced = True

    def _end(self, children: Sequence[Child]) -> None:
        for child in children:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while any(child.process.poll() is None for child in children):
            if self._is_forced or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        for child in children:
            child.kill_group()
            child.finish_printing()


def _kill_orphans() -> None:
    """Kill orphans of ended children that moved to a separate session."""
    own = Path(f"/proc/self/task/{os.getpid()}/children")
    for _ in range(20):  # a killed process may leave children behind
        pids = own.read_text().split() if own.exists() else []
        if not pids:
            return
        for pid in map(int, pids):
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _raise_stop(_number: int, _frame: FrameType | None) -> None:
    raise Stop


def _exit_reason(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def free_port(preferred: int = 0, host: str = "127.0.0.1") -> int:
    """Return the preferred port if it is free, else the next free one; for 0 any free port."""
    for port in range(preferred, preferred + 100):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            bound: int = probe.getsockname()[1]
            return bound
    raise OSError(f"no free port from {preferred} on")

"""Child processes: each in a group of its own, its lines prefixed, none left behind."""

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

from devtools import ROOT
from devtools.environment import say

GRACE = 25.0  # seconds between asking a process to stop and killing it
WIDTH = 6
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36

_libc = ctypes.CDLL(None)
_printing = threading.Lock()


class Stop(BaseException):
    """Somebody asked for the end: Ctrl-C, SIGTERM, or a terminal that was closed."""


class Died(Exception):
    """A child that was to go on has ended."""


def end_with_parent(number: int = signal.SIGTERM) -> None:
    """For a child, before it becomes its program: the kernel signals it if the parent is killed."""
    _libc.prctl(_PR_SET_PDEATHSIG, number)


class Child:
    """A process that runs for as long as the service does."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        variables: Mapping[str, str],
        *,
        on_line: Callable[[str], bool] | None = None,
        keep_open: Sequence[int] = (),
    ) -> None:
        """Start it.

        on_line    is shown each line and says whether it has taken it, instead of its being printed
        keep_open  file descriptors that it inherits
        """
        self.name = name
        self._on_line = on_line
        self.process = subprocess.Popen(
            command, env=dict(variables), cwd=ROOT, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            process_group=0, pass_fds=keep_open, preexec_fn=end_with_parent,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._pass_on, daemon=True)
        self._reader.start()

    def _pass_on(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                if self._on_line is None or not self._on_line(line):
                    show(self.name, line)

    def signal(self, number: int) -> None:
        """Send it to the process alone: RQ and gunicorn tell their own children."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def kill_group(self) -> None:
        """Kill the process and whatever it has left in its group."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def finish_printing(self) -> None:
        """Wait for its last lines."""
        self._reader.join(1)


def show(name: str, line: str) -> None:
    """Print a line of a process behind its name."""
    with _printing, suppress(OSError):  # the terminal may be gone
        print(f"{name:{WIDTH}} | {line.rstrip()}", flush=True)


class Children:
    """All children of this ./dev, in the order of their start; as a context it ends them."""

    def __init__(self) -> None:
        self._running: list[Child] = []
        self._hurry = False

    def __enter__(self) -> "Children":
        for number in SIGNALS:
            signal.signal(number, _ask_to_stop)
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what a child leaves behind becomes ours
        return self

    def __exit__(self, *_: object) -> None:
        for number in SIGNALS:
            signal.signal(number, self._be_quick)
        if self._running:
            say("stopping")
        # The servers that others rely on were started first, and end last.
        servers = [child for child in self._running if child.name in ("valkey", "demo")]
        self._end([child for child in self._running if child not in servers])
        self._end(servers)
        _kill_orphans()

    def start(self, child: Child) -> Child:
        """Watch over a child from now on."""
        self._running.append(child)
        return child

    def check(self) -> None:
        """Nothing while all run; raises Died for the first that does not."""
        for child in self._running:
            if (status := child.process.poll()) is not None:
                child.finish_printing()
                raise Died(f"{child.name} has ended unexpectedly ({_manner(status)})")

    def watch(self) -> None:
        """Wait until one dies; raises Died."""
        while True:
            self.check()
            time.sleep(0.2)

    def _be_quick(self, _number: int, _frame: FrameType | None) -> None:
        self._hurry = True

    def _end(self, children: Sequence[Child]) -> None:
        for child in children:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while any(child.process.poll() is None for child in children):
            if self._hurry or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        for child in children:
            child.kill_group()
            child.finish_printing()


def _kill_orphans() -> None:
    """Kill what dead children have left in sessions of their own, where no group reaches it."""
    own = Path(f"/proc/self/task/{os.getpid()}/children")
    for _ in range(20):  # what is killed may leave children in its turn
        pids = own.read_text().split() if own.exists() else []
        if not pids:
            return
        for pid in map(int, pids):
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _ask_to_stop(_number: int, _frame: FrameType | None) -> None:
    raise Stop


def _manner(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def free_port(wanted: int = 0, host: str = "127.0.0.1") -> int:
    """The wanted port if it is free, else the next free one; any free one for 0."""
    for port in range(wanted, wanted + 100):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise OSError(f"no free port from {wanted} on")

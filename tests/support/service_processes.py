"""Processes of the service for a test: workers, or the clock."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.paths import ROOT

SECONDS = 30


@contextmanager
def running(module: str, redis_url: str, directory: Path, **variables: str) -> Iterator[Path]:
    """Run a process of the service; returns the file with its log."""
    log = directory / f"{module.split()[0]}.log"
    environment = {
        "PATH": os.environ["PATH"],
        "SECRET_KEY": "k" * 40,
        "DATABASE_URL": f"sqlite:///{directory / 'processes.db'}",
        "REDIS_URL": redis_url,
        **variables,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module.split()],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield log
    finally:
        process.terminate()
        process.wait(SECONDS)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fail after SECONDS."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the state was not reached"
        time.sleep(0.1)

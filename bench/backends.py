"""Databases, Valkey and service processes for end-to-end benchmarks."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.settings import Settings
from devtools import ROOT
from devtools.processes import end_with_parent
from tests.support import servers

SECRET = "b" * 40
NO_REDIS = "redis://127.0.0.1:1/0"  # no server listens there


@contextmanager
def valkey() -> Iterator[str]:
    """The URL of a new Valkey server."""
    with tempfile.TemporaryDirectory() as directory:
        server = servers.start_valkey(Path(directory))
        try:
            yield server.url
        finally:
            server.stop()


@contextmanager
def database(kind: str) -> Iterator[str]:
    """The URL of a new database with all tables; this PostgreSQL does not sync to disk."""
    with tempfile.TemporaryDirectory() as directory:
        if kind == "sqlite":
            url = f"sqlite:///{directory}/bench.db"
            _migrate(url)
            yield url
            return
        server = servers.start_postgres(Path(directory) / "postgres")
        try:
            _migrate(server.url)
            yield server.url
        finally:
            server.stop()


@contextmanager
def process(module: str, variables: Mapping[str, str], *arguments: str) -> Iterator[int]:
    """The process id of ``python -m module`` with these variables, until the end of the block."""
    started = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        preexec_fn=end_with_parent,
    )
    try:
        yield started.pid
    finally:
        started.terminate()
        started.wait(60)


def variables(database_url: str, redis_url: str, **others: str) -> dict[str, str]:
    """The environment of a service with this database and Valkey."""
    return {
        "SECRET_KEY": SECRET,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "ALLOW_SPECIAL_USE_NAMES": "on",
        "DOMAIN_VERIFICATION": "off",
        "LOG_LEVEL": "warning",
        **others,
    }


def settings_of(variables: Mapping[str, str]) -> Settings:
    """Return the settings of a service with these environment variables."""
    values: dict[str, Any] = {name.lower(): text for name, text in variables.items()}
    return Settings(**{name: values[name] for name in Settings.model_fields if name in values})


def _migrate(url: str) -> None:
    environment = {**os.environ, **variables(url, NO_REDIS)}
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)

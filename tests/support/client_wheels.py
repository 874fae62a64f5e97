"""Wheels of the packages in ``clients``, and an environment that has nothing but them."""

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SECONDS = 600


def build(package: str, directory: Path) -> Path:
    """Return the wheel of a folder in ``clients``; nothing is downloaded."""
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)], package)
    [wheel] = directory.glob(f"mailwatch_{'client' if package == 'python' else package}-*.whl")
    return wheel


def install(wheels: Sequence[Path], directory: Path, *, extras: str = "") -> Path:
    """Return the folder with the programs of a new environment that has the wheels.

    extras  of the first wheel, such as ``[cli]``
    The test is skipped if the packages that the wheels need cannot be downloaded.
    """
    venv.create(directory, with_pip=False)
    python = directory / "bin" / "python"
    [pip] = (ROOT / "vendor").glob("pip-*.whl")
    command = [str(python), f"{pip}/pip", "install", "--quiet", "--no-input"]
    first, *others = map(str, wheels)
    result = subprocess.run(
        [*command, f"{first}{extras}", *others], capture_output=True, text=True, timeout=SECONDS
    )
    if result.returncode != 0:
        assert not _is_reachable(command, directory), result.stderr
        pytest.skip(f"PyPI is not reachable: {result.stderr.strip().splitlines()[-1]}")
    return python.parent


def _is_reachable(command: Sequence[str], directory: Path) -> bool:
    target = str(directory / "probe")
    options = ["--no-deps", "--target", target, "httpx"]
    return not subprocess.run([*command, *options], capture_output=True).returncode


def _run(command: Sequence[str], package: str) -> None:
    result = subprocess.run(
        command, cwd=ROOT / "clients" / package, capture_output=True, text=True, timeout=SECONDS
    )
    assert result.returncode == 0, result.stdout + result.stderr

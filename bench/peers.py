"""The programs that we measure ourselves against, in an environment of their own."""

import subprocess
import sys

from devtools import ROOT, environment

PYTHON = ROOT / ".dev" / "bench-venv" / "bin" / "python"


def prepare() -> None:
    """Make the environment of the peers, unless it is there."""
    pinned = ROOT / "requirements-bench.txt"
    stamp = PYTHON.parent.parent / "requirements-bench.txt"
    if stamp.exists() and stamp.read_text() == pinned.read_text():
        return
    print("making .dev/bench-venv", flush=True)
    venv = str(PYTHON.parent.parent)
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", venv], check=True)
    wheel = next((ROOT / "vendor").glob("pip-*.whl"))
    command = [str(environment.PYTHON), f"{wheel}/pip", "--python", str(PYTHON), "install", "-q"]
    subprocess.run(
        [*command, "--disable-pip-version-check", "-r", str(pinned)],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    stamp.write_text(pinned.read_text())

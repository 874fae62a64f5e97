"""The programs that we measure ourselves against, in an environment of their own."""

from devtools import ROOT, environment

LOCK = "requirements-bench.txt"
PYTHON = ROOT / ".dev" / "requirements-bench" / "bin" / "python"


def prepare() -> None:
    """Make the environment of the peers, unless it is there."""
    environment.prepare_separate(LOCK)

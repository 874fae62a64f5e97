"""The programs for comparison, in a separate environment."""

from devtools import ROOT, environment

LOCK = "requirements-bench.txt"
PYTHON = ROOT / ".dev" / "requirements-bench" / "bin" / "python"


def prepare() -> None:
    """Create the environment of the peers if it does not exist."""
    environment.prepare_separate(LOCK)

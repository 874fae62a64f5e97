"""The Python client that openapi-python-client generates from a document."""

import os
import subprocess
import sys
from pathlib import Path


def generate(document: Path) -> Path:
    """Return the directory with the package ``mailwatch_client``."""
    target = document.parent / "client"
    result = subprocess.run(
        [
            *(sys.executable, "-m", "openapi_python_client", "generate"),
            *("--path", str(document), "--output-path", str(target), "--meta", "poetry"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Unable to" not in result.stdout, result.stdout
    assert "removal of" not in result.stdout, result.stdout
    return target

"""Records the examples of the OpenAPI document: ``python -m devtools.api_examples``.

They come from the examples of docs/api, which a test executes.
"""

import os
import subprocess
import sys

TEST = "tests/conformance/api/test_recorded_examples.py"


def main() -> int:
    """Run the examples on SQLite and write app/api/docs/examples.json."""
    command = [sys.executable, "-m", "pytest", "-q", TEST, "-k", "sqlite and responses"]
    return subprocess.call(command, env={**os.environ, "RECORD_API_EXAMPLES": "1"})


if __name__ == "__main__":
    sys.exit(main())

"""``python -m tests.fuzz [seconds per target]``: fuzz every parser for this time."""

import sys

from tests.fuzz import fuzzer

if __name__ == "__main__":
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    sys.exit(1 if fuzzer.run(seconds) else 0)

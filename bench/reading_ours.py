"""The time of our parsers for the files of a folder, in a separate process.

python -m bench.reading_ours <folder> <warm up: 0 or 1>
"""

import json
import sys

from app.protocols.report_formats import aggregate
from app.protocols.report_formats.containers import unwrap
from bench.stopwatch import measure

NOW = 1_795_600_000


def read(raw: bytes) -> int:
    """The number of records in a file."""
    return sum(len(aggregate.parse(member.document, NOW).records) for member in unwrap.unwrap(raw))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(read, sys.argv[1], sys.argv[2] == "1")))

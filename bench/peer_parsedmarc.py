"""What parsedmarc needs for the files of a folder; run by ``bench.intake`` in its own environment.

python peer_parsedmarc.py <folder> <warm up: 0 or 1> <look addresses up: 0 or 1>

It never asks the network. With the last word 0 it does not even look addresses up in the tables
that it brings along, which is not done by ours at this point either.
"""

import json
import logging
import sys

import parsedmarc
from stopwatch import measure

NOWHERE = dict.fromkeys(
    ("reverse_dns", "country", "base_domain", "name", "type", "asn", "as_name", "as_domain")
)


def read(raw: bytes) -> int:
    """How many records are in a file."""
    found = parsedmarc.parse_report_file(raw, offline=True)
    return len(found["report"]["records"])


if __name__ == "__main__":
    logging.disable()
    if sys.argv[3] == "0":
        parsedmarc.get_ip_address_info = lambda ip, **_: {"ip_address": ip, **NOWHERE}
    sys.stdout.write(json.dumps(measure(read, sys.argv[1], sys.argv[2] == "1")))

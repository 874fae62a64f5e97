"""The time of parsedmarc for the files of a folder; ``bench.report_parsing`` runs it separately.

python peer_parsedmarc.py <folder> <warm up: 0 or 1> <address lookups: 0 or 1>

It never uses the network. With 0 as last argument it does not look up addresses in its own tables,
which our parser does not do either.
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
    """The number of records in a file."""
    report = parsedmarc.parse_report_file(raw, offline=True)
    return len(report["report"]["records"])


if __name__ == "__main__":
    logging.disable()
    if sys.argv[3] == "0":
        parsedmarc.get_ip_address_info = lambda ip, **_: {"ip_address": ip, **NOWHERE}
    sys.stdout.write(json.dumps(measure(read, sys.argv[1], sys.argv[2] == "1")))

"""``python -m tests.support.growth`` prints the MiB that parsing the hostile files needs.

They are made by a child beforehand, for making them takes more.
"""

import multiprocessing
import sys
import tempfile
from pathlib import Path

from tests.support.hostile_reports import HOSTILE
from tests.support.report_cases import cases, read


def write(folder: str) -> None:
    """Put each hostile file into the folder."""
    for number, (make, _) in enumerate(HOSTILE.values()):
        Path(folder, str(number)).write_bytes(make())


def peak() -> int:
    """The most memory that this program ever had, in KiB; ``ru_maxrss`` counts the parent's too."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        child = multiprocessing.get_context("spawn").Process(target=write, args=(folder,))
        child.start()
        child.join()
        paths = sorted(Path(folder).iterdir())
        assert len(paths) == len(HOSTILE)
        before = peak()
        for path in paths:
            read(path.read_bytes())
        for folder_name in ("dmarc", "tlsrpt", "ruf"):
            for case in cases(folder_name):
                read(case.path.read_bytes())
    sys.stdout.write(str((peak() - before) // 1024))


if __name__ == "__main__":
    main()

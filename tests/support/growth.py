"""``python -m tests.support.growth`` prints the MiB that parsing the hostile files needs.

A child process generates them beforehand, because generating them needs more memory.
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
    """The peak memory of this program in KiB; ``ru_maxrss`` would include that of its parent."""
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

"""What reading the files of a folder takes. Nothing of ours is imported here: peers use it too."""

import gc
import time
from collections.abc import Callable
from pathlib import Path


def measure(read: Callable[[bytes], int], folder: str, warm: bool) -> dict[str, float]:
    """What reading all files takes; peak memory is of the whole process, in MiB."""
    paths = sorted(Path(folder).iterdir())
    if warm:
        read(paths[0].read_bytes())
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    records = sum(read(path.read_bytes()) for path in paths)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"files": len(paths), "records": records, "wall": wall, "cpu": cpu, "peak": peak()}


def peak() -> float:
    """The most memory that this program ever had, in MiB; ``ru_maxrss`` counts the parent's too."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

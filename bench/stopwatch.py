"""Measures parsing of the files of a folder; it imports no module of mailwatch, for the peers."""

import gc
import time
from collections.abc import Callable
from pathlib import Path


def measure(read: Callable[[bytes], int], folder: str, warm: bool) -> dict[str, float]:
    """The time to parse all files; peak memory is that of the whole process in MiB."""
    paths = sorted(Path(folder).iterdir())
    if warm:
        read(paths[0].read_bytes())
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    records = sum(read(path.read_bytes()) for path in paths)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"files": len(paths), "records": records, "wall": wall, "cpu": cpu, "peak": peak()}


def peak() -> float:
    """The peak memory of this program in MiB; ``ru_maxrss`` would include that of its parent."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

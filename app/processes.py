"""Unique process names, by which other processes on the same machine detect that one has ended.

This works on Linux only, within one PID namespace (one container).
"""

import os
from pathlib import Path

_PROC = Path("/proc")


def own_name() -> str | None:
    """Return a unique name for this process; None if the kernel does not provide one."""
    namespace = _namespace()
    started_at = _started_at(str(os.getpid()))
    return f"{namespace}:{os.getpid()}:{started_at}" if namespace and started_at else None


def has_ended(name: str) -> bool:
    """Return whether the process with this name was in this namespace and has ended."""
    namespace, _, rest = name.partition(":")
    pid, _, started_at = rest.partition(":")
    return pid.isdigit() and namespace == _namespace() and _started_at(pid) != started_at


def _namespace() -> str | None:
    """Return the id of this boot and this PID namespace."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat(_PROC / 'self/ns/pid').st_ino}"
    except OSError:
        return None


def _started_at(pid: str) -> str | None:
    """Return the start time of a running process in kernel ticks; None if there is none."""
    try:
        fields = (_PROC / pid / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]

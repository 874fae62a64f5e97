"""Names of processes, by which others of the same machine see that one has ended.

Linux only, and within one PID namespace (one container): of all others nothing is said.
"""

import os
from pathlib import Path

_PROC = Path("/proc")


def own_name() -> str | None:
    """A name that no other process ever has; None where the kernel does not tell enough."""
    place = _place()
    started_at = _started_at(str(os.getpid()))
    return f"{place}:{os.getpid()}:{started_at}" if place and started_at else None


def has_ended(name: str) -> bool:
    """The process of this name was one of this place, and is no more."""
    place, _, rest = name.partition(":")
    pid, _, started_at = rest.partition(":")
    return pid.isdigit() and place == _place() and _started_at(pid) != started_at


def _place() -> str | None:
    """This boot of this kernel, and this PID namespace."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat(_PROC / 'self/ns/pid').st_ino}"
    except OSError:
        return None


def _started_at(pid: str) -> str | None:
    """When it started, in the kernel's ticks; None if there is none, or it is dead already."""
    try:
        fields = (_PROC / pid / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]

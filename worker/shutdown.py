"""The stop flag of this process, set by a signal."""

import signal
from types import FrameType

_is_requested = False


def is_requested() -> bool:
    """Whether a stop was requested."""
    return _is_requested


def listen(*signals: signal.Signals) -> None:
    """Treat these signals as stop requests."""
    for number in signals:
        signal.signal(number, _request)


def _request(_: int, __: FrameType | None) -> None:
    global _is_requested
    _is_requested = True

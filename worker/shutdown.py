"""Whether this process was asked to end what it does."""

import signal
from types import FrameType

_is_requested = False


def is_requested() -> bool:
    """A signal to stop has come."""
    return _is_requested


def listen(*signals: signal.Signals) -> None:
    """Take these signals for the wish to stop."""
    for number in signals:
        signal.signal(number, _request)


def _request(_: int, __: FrameType | None) -> None:
    global _is_requested
    _is_requested = True

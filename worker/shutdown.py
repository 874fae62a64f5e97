"""Whether this process was asked to end what it does."""

import signal
from types import FrameType

_is_asked = False


def is_asked() -> bool:
    """A signal to stop has come."""
    return _is_asked


def listen(*signals: signal.Signals) -> None:
    """Take these signals for the wish to stop."""
    for number in signals:
        signal.signal(number, _note)


def _note(_: int, __: FrameType | None) -> None:
    global _is_asked
    _is_asked = True

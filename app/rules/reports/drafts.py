"""Parts that report rules share: how a draft is chosen, and how shares are written."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from app.checks.engine.types import Severity
from app.rules.engine.types import AlertDraft

MAX_SAMPLES = 20  # alerts per rule

T = TypeVar("T")


def first_draft(
    inputs: Iterable[tuple[T | None, Severity]],
    draft_for: Callable[[T, Severity], AlertDraft | None],
) -> list[AlertDraft] | None:
    """Return the first draft that an input yields, with the severity of that input.

    inputs   what is trusted first, then everything as info; an input of None cannot decide
    returns  an empty list if no input yields a draft; None if no input can decide
    """
    can_decide = False
    for value, severity in inputs:
        if value is None:
            continue
        can_decide = True
        if draft := draft_for(value, severity):
            return [draft]
    return [] if can_decide else None


def percent(share: float) -> str:
    """Return the share as text, such as ``12.5 %``."""
    return f"{share * 100:.1f} %"

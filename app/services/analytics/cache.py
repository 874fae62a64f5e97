"""Answers from reports that a process keeps: they stand as long as nothing was counted since."""

import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.analysis.mail.periods import WEEK, Window
from app.models import DmarcWeek

SECONDS = 60.0  # for changes that a stamp does not show
MAX_ENTRIES = 16  # of one kind

T = TypeVar("T")


class ResultCache(Generic[T]):
    """The last few answers to one kind of question, each with the stamp that it had."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Hashable, tuple[Any, float, T]] = OrderedDict()

    def get(self, question: Hashable, stamp: Any) -> T | None:
        """The answer, unless it is old, or the stamp is another one by now."""
        known = self._answers.get(question)
        if known is None or known[0] != stamp or time.monotonic() - known[1] > SECONDS:
            return None
        return known[2]

    def put(self, question: Hashable, stamp: Any, answer: T) -> None:
        """Keep it, instead of the one that was put in first. It must not change afterwards."""
        self._answers[question] = (stamp, time.monotonic(), answer)
        while len(self._answers) > MAX_ENTRIES:
            self._answers.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        self._answers.clear()

    def __len__(self) -> int:
        return len(self._answers)


def stamp(session: Session, domain_id: UUID, window: Window) -> tuple[Any, ...]:
    """Another one as soon as anything was counted in the weeks that the window is in; a step."""
    rows = session.execute(
        select(DmarcWeek.start, DmarcWeek.version)
        .where(
            DmarcWeek.domain_id == domain_id,
            DmarcWeek.start > window.start - WEEK,
            DmarcWeek.start < window.stop,
        )
        .order_by(DmarcWeek.start)
    )
    return tuple(map(tuple, rows))

"""The bounds of the caches of analytics results, and the version of their data."""

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from app.analysis.mail.periods import WEEK, Window
from app.models import DmarcWeek

LIFETIME_SECONDS = 60.0  # for changes that the version does not show
MAX_ENTRIES = 16  # in each cache


def lifetime() -> float:
    """Return the seconds that a result is valid."""
    return LIFETIME_SECONDS


def stamp(session: Session, domain_id: UUID, window: Window) -> tuple[Any, ...]:
    """Return a version that changes with each rollup in the weeks of the window.

    Runs in the caller's transaction.
    """
    bounds = {"domain_id": domain_id, "after": window.start - WEEK, "before": window.stop}
    return tuple(map(tuple, session.connection().execute(_VERSIONS, bounds)))


_VERSIONS = (
    select(DmarcWeek.start, DmarcWeek.version)
    .where(
        DmarcWeek.domain_id == bindparam("domain_id"),
        DmarcWeek.start > bindparam("after"),
        DmarcWeek.start < bindparam("before"),
    )
    .order_by(DmarcWeek.start)
)

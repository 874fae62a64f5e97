"""The score and pass rate of domains as metrics, for as many domains as METRICS_DOMAINS says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from app import ids
from app.analysis.mail import periods
from app.models import DmarcHour, Domain
from app.services.core.caches import Cache

WINDOW_HOURS = 7 * 24
CACHE_SECONDS = 300.0  # reports arrive once a day, and the sums take longer than all other metrics


@dataclass(frozen=True, slots=True)
class DomainFigures:
    """The figures of one domain.

    score      None before the first scan
    pass_rate  the share of messages that pass DMARC, from 0 to 1; None without messages
    """

    account: str
    domain: str
    score: int | None
    pass_rate: float | None


_stored = Cache[int, Sequence[DomainFigures]](1, lambda: CACHE_SECONDS)


def read(session: Session, limit: int, now: datetime) -> Sequence[DomainFigures]:
    """Return the figures of the ``limit`` domains that were added first.

    They are at most CACHE_SECONDS old.
    """
    if not limit:
        return ()
    figures = _stored.get(limit)
    if figures is None:
        figures = _read(session, limit, now)
        _stored.put(limit, figures)
    return figures


def _read(session: Session, limit: int, now: datetime) -> Sequence[DomainFigures]:
    columns = (Domain.id, Domain.account_id, Domain.name, Domain.score)
    rows = session.execute(select(*columns).order_by(Domain.id).limit(limit)).all()
    passing = case((or_(DmarcHour.dkim, DmarcHour.spf), DmarcHour.messages), else_=0)
    sums = session.execute(
        select(DmarcHour.domain_id, func.sum(DmarcHour.messages), func.sum(passing))
        .where(
            DmarcHour.domain_id.in_(select(Domain.id).order_by(Domain.id).limit(limit)),
            DmarcHour.hour >= periods.hour_of(now) - WINDOW_HOURS,
        )
        .group_by(DmarcHour.domain_id)
    )
    rates = {
        domain_id: float(passed) / float(messages)
        for domain_id, messages, passed in sums
        if messages
    }
    return [
        DomainFigures(
            account=ids.public("acc", row.account_id),
            domain=row.name,
            score=row.score,
            pass_rate=rates.get(row.id),
        )
        for row in rows
    ]

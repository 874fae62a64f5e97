"""Reports with records that could not be read, and are therefore in no figure."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.analysis.mail.periods import Window, at
from app.models import DmarcReport, Domain, TlsReport
from app.models.reports import PROVENANCES, is_partial


def count(
    session: Session,
    table: type[DmarcReport] | type[TlsReport],
    domain: Domain,
    window: Window,
    *,
    is_trusted_only: bool = False,
) -> int:
    """Return the number of partial reports whose period meets the window.

    It runs in the caller's transaction.
    """
    statement = select(func.count()).where(
        table.account_id == domain.account_id,
        table.domain_id == domain.id,
        is_partial(table.skipped_count),
        table.begin_at < at(window.stop),
        table.end_at > at(window.start),
    )
    if is_trusted_only:
        statement = statement.where(table.provenance != PROVENANCES[0])
    return session.scalar(statement) or 0

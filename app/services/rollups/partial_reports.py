"""Reports with records that could not be read, and are therefore in no figure."""

from functools import cache

from sqlalchemy import Select, bindparam, func, select
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
    parameters = {
        "account_id": domain.account_id,
        "domain_id": domain.id,
        "start_at": at(window.start),
        "stop_at": at(window.stop),
    }
    return session.connection().scalar(_statement(table, is_trusted_only), parameters) or 0


@cache
def _statement(table: type[DmarcReport] | type[TlsReport], is_trusted_only: bool) -> Select[int]:
    statement = select(func.count()).where(
        table.account_id == bindparam("account_id"),
        table.domain_id == bindparam("domain_id"),
        is_partial(table.skipped_count),
        table.begin_at < bindparam("stop_at"),
        table.end_at > bindparam("start_at"),
    )
    if is_trusted_only:
        statement = statement.where(table.provenance != PROVENANCES[0])
    return statement

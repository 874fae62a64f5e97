"""How long what was received is kept: bytes of files, failure reports, counts of days, rows."""

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, exists, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from app import settings
from app.db import now, transaction
from app.models import DmarcReport, FailureReport, Intake, RawFile, ReportDay, TlsReport
from app.models.reports import RECEIVED

AT_ONCE = 200  # files a statement: they are large
ROWS_AT_ONCE = 1_000
DAYS_KEPT = timedelta(days=90)


def purge() -> int:
    """Delete what has been kept for long enough, by the settings; how many files' bytes."""
    current = settings.current()
    with transaction() as session:
        moment = now(session)
        old = moment - timedelta(days=current.keep_failure_report_days)
        session.execute(delete(FailureReport).where(FailureReport.received_at < old))
        session.execute(delete(ReportDay).where(ReportDay.day < (moment - DAYS_KEPT).date()))
    count = 0
    while found := _purge_some():
        count += found
    return count


def forget() -> int:
    """Delete the rows of files that ended long ago, and became no report that is still there.

    returns  how many
    """
    count = 0
    while found := _forget_some():
        count += found
    return count


def _forget_some() -> int:
    with transaction() as session:
        old = now(session) - timedelta(days=settings.current().keep_intake_days)
        is_there = [
            exists().where(table.id == Intake.report_id)
            for table in (DmarcReport, TlsReport, FailureReport)
        ]
        has_bytes = exists().where(
            RawFile.account_id == Intake.account_id, RawFile.sha256 == Intake.sha256
        )
        over = session.scalars(
            select(Intake.id)
            .where(
                Intake.received_at < old,
                Intake.finished_at < old,  # not one that was read again lately
                Intake.state != RECEIVED,
                ~or_(*is_there, has_bytes),
            )
            .limit(ROWS_AT_ONCE)
        ).all()
        session.execute(delete(Intake).where(Intake.id.in_(over)))
        return len(over)


def _purge_some() -> int:
    with transaction() as session:
        keys = session.execute(
            select(RawFile.account_id, RawFile.sha256).where(_is_over(session)).limit(AT_ONCE)
        ).all()
        if keys:
            key = tuple_(RawFile.account_id, RawFile.sha256)
            session.execute(delete(RawFile).where(key.in_([tuple(row) for row in keys])))
        return len(keys)


def _is_over(session: Session) -> Any:
    """Nobody may want the bytes any more.

    Those of a failure report hold what is private, and nothing is to be had from them once it is
    read; so they are deleted at the next occasion.
    """
    current = settings.current()
    moment = now(session)
    age = RawFile.created_at
    rival = aliased(Intake)
    is_contested = exists().where(rival.report_id == Intake.report_id, rival.state == "conflict")
    # A user may still decide between the two files of a conflict, and reverse that.
    is_settled = ~_has(Intake.state.not_in(("parsed", "duplicate")) | is_contested)
    is_private = is_settled & ~_has(Intake.kind != "failure")
    return ~_has(Intake.state == RECEIVED) & (
        is_private
        | (is_settled & (age < moment - timedelta(days=current.keep_parsed_days)))
        | (age < moment - timedelta(days=current.keep_raw_days))
    )


def _has(state: Any) -> Any:
    """The file has a row of which this is so."""
    return exists().where(
        Intake.account_id == RawFile.account_id, Intake.sha256 == RawFile.sha256, state
    )

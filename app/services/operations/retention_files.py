"""The retention conditions of report files: of their bytes, and of the rows with their status."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_
from sqlalchemy.orm import aliased

from app import settings
from app.models import DmarcReport, FailureReport, RawFile, ReportFile, TlsReport
from app.models.reports import RECEIVED
from app.services.filing import retries
from app.services.ingest.budgets import SourceClass


def unneeded_bytes(now: datetime) -> ColumnElement[bool]:
    """Return the condition for bytes of files that will not be parsed again.

    Failure reports contain private data and are complete once they are parsed, so their bytes are
    deleted at the next run.
    """
    current = settings.current()
    age = RawFile.created_at
    conflicting = aliased(ReportFile)
    is_contested = exists().where(
        conflicting.report_id == ReportFile.report_id, conflicting.status == "conflict"
    )
    # A user may still decide between the two files of a conflict, and reverse that.
    is_junk = ~_has(~_is_junk())
    is_open = is_contested | retries.has_partial_report()  # a later release may read more
    is_settled = ~_has(ReportFile.status.not_in(("parsed", "duplicate")) | is_open)
    is_private = is_settled & ~_has(ReportFile.kind != "failure")
    return ~_has(ReportFile.status == RECEIVED) & (
        is_private
        | (is_junk & (age < now - timedelta(days=current.junk_retention_days)))
        | (is_settled & (age < now - timedelta(days=current.parsed_retention_days)))
        | (age < now - timedelta(days=current.raw_retention_days))
    )


def ended_long_ago(now: datetime) -> ColumnElement[bool]:
    """Return the condition for rows of old files without bytes and without an existing report."""
    old = now - timedelta(days=settings.current().report_file_retention_days)
    junk = now - timedelta(days=settings.current().raw_retention_days)
    is_there = [
        exists().where(table.id == ReportFile.report_id)
        for table in (DmarcReport, TlsReport, FailureReport)
    ]
    has_bytes = exists().where(
        RawFile.account_id == ReportFile.account_id, RawFile.sha256 == ReportFile.sha256
    )
    return and_(
        or_(_ended_before(old), _is_junk() & _ended_before(junk)),
        ReportFile.status != RECEIVED,
        ~or_(*is_there, has_bytes),
    )


def _ended_before(now: datetime) -> ColumnElement[bool]:
    """The file was received before ``now``, and not parsed again since."""
    return and_(ReportFile.received_at < now, ReportFile.finished_at < now)


def _is_junk() -> ColumnElement[bool]:
    """The file is from an unknown sender and became no report."""
    sender = func.coalesce(ReportFile.sender_metadata["sourceClass"].as_string(), "")
    has_no_report = ReportFile.status.in_(("rejected", "unattributed"))
    return and_(has_no_report, sender == SourceClass.UNKNOWN.value)


def _has(state: Any) -> ColumnElement[bool]:
    """The file has a row with this condition."""
    return exists().where(
        ReportFile.account_id == RawFile.account_id, ReportFile.sha256 == RawFile.sha256, state
    )

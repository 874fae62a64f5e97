"""Report files that are read again, because it may end differently than before."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from app import ids
from app.db import transactions
from app.db.transactions import transaction
from app.models import DmarcReport, Domain, RawFile, ReportFile, TlsReport
from app.models.reports import is_partial
from app.services.audit import audit_log
from app.services.core import domain_lookup
from app.services.filing.parsing import PARSER_VERSION
from app.services.ingest import files

RETRY_BATCH_SIZE = 5_000
PARTIAL = "partial"  # instead of a reason: the files of partial reports
# Reasons that depend on settings, on the load or on a defect, and not only on the file.
_CIRCUMSTANCES = ("cpu_budget", "timeout", "too_large", "internal")
_DELETED = "The file is no longer stored. Send it again"
_UNCHANGED = (
    "Nothing has changed since the file was processed: this version of the service reads it in the "
    "same way. Try again after an upgrade"
)


def has_partial_report() -> ColumnElement[bool]:
    """Return the condition for files whose report is stored, but could only be read in part."""
    partial = (
        select(table.id).where(is_partial(table.skipped_count))
        for table in (DmarcReport, TlsReport)
    )
    return files.IS_READ & or_(*(ReportFile.report_id.in_(report_ids) for report_ids in partial))


def retry(
    report_file_id: UUID | None = None,
    reason: str | None = None,
    *,
    account_id: UUID | None = None,
    actor: str = "system",
) -> int:
    """Reprocess one file, or all files with this reason, and return how many were queued.

    reason      PARTIAL: all files of partial reports
    account_id  of the files, and only those for which something has changed since; None: an
                operator retries files of all accounts
    returns     of rejected and unattributed files, and of files of partial reports, whose bytes are
                still stored
    """
    matches = _with_reason(reason) if report_file_id is None else ReportFile.id == report_file_id
    if account_id is not None:
        matches = matches & (ReportFile.account_id == account_id) & _has_changed()
    with transaction() as session:
        file_ids = session.scalars(
            select(ReportFile.id)
            .where(matches, _is_incomplete(), _has_bytes())
            .order_by(ReportFile.id)
            .limit(RETRY_BATCH_SIZE)
            .with_for_update(skip_locked=True)
        ).all()
        files.parse_again(session, ReportFile.id.in_(file_ids), transactions.now(session))
        if account_id is not None and file_ids:
            audit_log.record(
                session,
                account_id,
                actor=actor,
                action="report_file.retried",
                target=ids.public("file", report_file_id) if report_file_id else reason or "",
                files=len(file_ids),
            )
    return len(file_ids)


def obstacles(session: Session, report_file_ids: Collection[UUID]) -> Mapping[UUID, str | None]:
    """Return why each of these files cannot be reprocessed, in a sentence; None: it can.

    It runs in the caller's transaction.
    """
    rows = session.execute(
        select(
            ReportFile.id,
            ReportFile.status,
            ReportFile.policy_domain,
            _is_incomplete().label("is_incomplete"),
            _has_bytes().label("is_stored"),
            _has_changed().label("has_changed"),
        ).where(ReportFile.id.in_(report_file_ids))
    )
    return {row.id: _obstacle(row) for row in rows}


def obstacle(session: Session, report_file_id: UUID) -> str | None:
    """As ``obstacles``, for one file, which may be deleted."""
    return obstacles(session, [report_file_id]).get(report_file_id, _DELETED)


def changed_reasons(session: Session, account_id: UUID) -> Collection[str]:
    """Return the reasons of rejected files that can be reprocessed, in the caller's transaction."""
    statement = select(ReportFile.reason).where(
        ReportFile.account_id == account_id,
        ReportFile.status == "rejected",
        ReportFile.reason.is_not(None),
        _has_bytes(),
        _has_changed(),
    )
    return {reason for reason in session.scalars(statement.distinct()) if reason}


def _obstacle(row: Any) -> str | None:
    if not row.is_incomplete:
        return (
            "Only rejected and unattributed files, and files of partial reports, can be "
            f"reprocessed. The status of this file is {row.status}"
        )
    if not row.is_stored:
        return _DELETED
    if row.has_changed:
        return None
    if row.status == "unattributed":
        return (
            "Nothing has changed since the file was processed: no domain was added or verified. "
            f"Add and verify {row.policy_domain} or a domain above it; its files are then "
            "processed automatically"
        )
    return _UNCHANGED


def _is_incomplete() -> ColumnElement[bool]:
    """The condition for files whose report was not stored, or only in part."""
    return ReportFile.status.in_(("rejected", "unattributed")) | has_partial_report()


def _has_changed() -> ColumnElement[bool]:
    """The condition for files that may end differently than when they were processed."""
    return or_(
        ReportFile.parser_version.is_distinct_from(PARSER_VERSION),
        ReportFile.reason.in_(_CIRCUMSTANCES),
        (ReportFile.status == "unattributed") & _has_new_domain(),
    )


def _has_new_domain() -> ColumnElement[bool]:
    """The condition for files of accounts with a domain that may be theirs.

    A TLS report may be about other domains than the one that is stored, so any new one counts.
    """
    return exists().where(
        Domain.account_id == ReportFile.account_id,
        *domain_lookup.counts_as_verified(),
        or_(
            Domain.created_at > ReportFile.finished_at,
            Domain.verified_at > ReportFile.finished_at,
            ReportFile.policy_domain == Domain.name,
            ReportFile.policy_domain.like("%." + Domain.name),
        ),
    )


def _with_reason(reason: str | None) -> ColumnElement[bool]:
    return has_partial_report() if reason == PARTIAL else ReportFile.reason == reason


def retry_for_domain(session: Session, account_id: UUID, domain: str) -> None:
    """Reprocess unattributed reports of an added domain; runs in the caller's transaction."""
    files.parse_again(
        session,
        (ReportFile.account_id == account_id)
        & (ReportFile.status == "unattributed")
        & or_(
            ReportFile.policy_domain == domain,
            ReportFile.policy_domain.endswith(f".{domain}", autoescape=True),
        )
        & _has_bytes(),
        transactions.now(session),
    )


def _has_bytes() -> ColumnElement[bool]:
    return exists().where(
        RawFile.account_id == ReportFile.account_id, RawFile.sha256 == ReportFile.sha256
    )

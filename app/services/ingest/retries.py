"""Report files that are read again, because it may end differently than before."""

from uuid import UUID

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from app import ids
from app.db import transactions
from app.db.transactions import transaction
from app.models import DmarcReport, RawFile, ReportFile, TlsReport
from app.models.reports import is_partial
from app.services.core import audit_log
from app.services.ingest import files

RETRY_BATCH_SIZE = 5_000
PARTIAL = "partial"  # instead of a reason: the files of partial reports


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
    account_id  of the files; None: of all accounts
    returns     of rejected and unattributed files, and of files of partial reports, whose bytes are
                still stored
    """
    matches = _with_reason(reason) if report_file_id is None else ReportFile.id == report_file_id
    if account_id is not None:
        matches = matches & (ReportFile.account_id == account_id)
    with transaction() as session:
        file_ids = session.scalars(
            select(ReportFile.id)
            .where(
                matches,
                ReportFile.status.in_(("rejected", "unattributed")) | has_partial_report(),
                _has_bytes(),
            )
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


def _with_reason(reason: str | None) -> ColumnElement[bool]:
    return has_partial_report() if reason == PARTIAL else ReportFile.reason == reason


def retry_for_domain(session: Session, account_id: UUID, domain: str) -> None:
    """Reprocess unattributed reports of an added domain; runs in the caller's transaction."""
    name = domain.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    files.parse_again(
        session,
        (ReportFile.account_id == account_id)
        & (ReportFile.status == "unattributed")
        & or_(
            ReportFile.policy_domain == domain,
            ReportFile.policy_domain.like(f"%.{name}", escape="\\"),
        )
        & _has_bytes(),
        transactions.now(session),
    )


def _has_bytes() -> ColumnElement[bool]:
    return exists().where(
        RawFile.account_id == ReportFile.account_id, RawFile.sha256 == ReportFile.sha256
    )

"""Reports that contradict a counted report, and the decisions of users about them.

The report that arrived first stays counted, whatever the provenance of the other report, until a
user decides to use the other report instead. The decision can be reversed in the same way while the
file of the replaced report is stored.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from app import ids
from app.db.transactions import now, transaction
from app.errors import Conflict, NotFound
from app.models import RawFile, ReportFile
from app.services.audit import audit_log
from app.services.ingest import files

MAX_LISTED = 20


def read(session: Session, account_id: UUID, report_id: UUID) -> Sequence[ReportFile]:
    """Return the files that contradict a report, newest first; at most MAX_LISTED.

    It runs in the caller's transaction.
    """
    return session.scalars(
        select(ReportFile)
        .where(
            ReportFile.account_id == account_id,
            ReportFile.report_id == report_id,
            ReportFile.status == "conflict",
        )
        .order_by(ReportFile.id.desc())
        .limit(MAX_LISTED)
    ).all()


def use(account_id: UUID, report_file_id: UUID, *, actor: str) -> None:
    """Count the report of a file in conflict instead of the report that is counted now.

    The worker parses the file again and replaces the report. The file of the replaced report
    becomes the one in conflict.

    raises  NotFound; Conflict if the file is not in conflict, or is no longer stored
    """
    with transaction() as session:
        report_file = session.scalar(
            select(ReportFile)
            .where(ReportFile.account_id == account_id, ReportFile.id == report_file_id)
            .with_for_update()
        )
        if report_file is None:
            raise NotFound
        if report_file.status != "conflict":
            raise Conflict("This report does not contradict a counted report")
        is_stored = exists().where(
            RawFile.account_id == account_id, RawFile.sha256 == report_file.sha256
        )
        if not session.scalar(select(is_stored)):
            raise Conflict("The file is no longer stored; upload it again")
        counted = report_file.report_id
        session.execute(
            update(ReportFile)
            .where(ReportFile.account_id == account_id, ReportFile.report_id == counted)
            .values(is_preferred=ReportFile.id == report_file_id)
            .execution_options(synchronize_session=False)
        )
        files.parse_again(session, ReportFile.id == report_file_id, now(session))
        audit_log.record(
            session,
            account_id,
            actor=actor,
            action="report.conflict_decided",
            target=ids.public("file", report_file_id),
            domain=report_file.policy_domain,
            reporter=report_file.reporter,
        )

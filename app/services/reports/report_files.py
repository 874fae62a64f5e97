"""Report files by public id: downloading and reprocessing them."""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import ids
from app.db.transactions import transaction
from app.errors import Conflict, NotFound
from app.models import ReportFile
from app.services.audit import audit_log
from app.services.filing import retries
from app.services.ingest import files


def find(account_id: UUID, public_id: str) -> Any:
    """Return the row of ``files.COLUMNS`` of a file.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        return _read(session, account_id, _parsed(public_id))


def detail(account_id: UUID, public_id: str) -> tuple[Any, str | None]:
    """Return the row of ``files.COLUMNS`` of a file, and why it cannot be reprocessed.

    raises  NotFound
    """
    with transaction(readonly=True, snapshot=True) as session:
        row = _read(session, account_id, _parsed(public_id))
        return row, retries.obstacle(session, row.id)


def download(account_id: UUID, public_id: str, *, actor: str) -> bytes:
    """Return the bytes of the file as they were received, and record the download.

    raises   NotFound, also if the bytes are no longer stored
    effects  an entry in the audit log
    """
    report_file_id = _parsed(public_id)
    with transaction() as session:
        _read(session, account_id, report_file_id)
        content = files.raw_of(session, account_id, report_file_id)
        audit_log.record(
            session, account_id, actor=actor, action="report_file.downloaded", target=public_id
        )
    return content


def reprocess(account_id: UUID, public_id: str, *, actor: str) -> Any:
    """Have a worker process the file again, and return its row of ``files.COLUMNS``.

    raises   NotFound; Conflict with the reason if the file cannot be reprocessed, or if nothing
             has changed since it was processed
    effects  queues the file; an entry in the audit log
    """
    report_file_id = _parsed(public_id)
    count = retries.retry(report_file_id, account_id=account_id, actor=actor)
    with transaction(readonly=True) as session:
        row = _read(session, account_id, report_file_id)
        obstacle = None if count else retries.obstacle(session, row.id)
    if not count:
        raise Conflict(obstacle or "The file is being processed")
    return row


def _read(session: Session, account_id: UUID, report_file_id: UUID) -> Any:
    row: Any = session.execute(
        select(*files.COLUMNS).where(
            ReportFile.account_id == account_id, ReportFile.id == report_file_id
        )
    ).one_or_none()
    if row is None:
        raise NotFound.of("file", report_file_id)
    return row


def _parsed(public_id: str) -> UUID:
    report_file_id = ids.parse("file", public_id)
    if report_file_id is None:
        raise NotFound.of("file", public_id)
    return report_file_id

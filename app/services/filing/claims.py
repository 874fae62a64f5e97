"""Claims of report files: which worker processes a file, until when, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import settings
from app.db import transactions
from app.db.transactions import after_commit, transaction
from app.models import ReportFile
from app.models.reports import RECEIVED
from app.models.stored_json import SenderMetadata
from app.services.core.leases import Lease, LeaseTable
from app.services.core.lifecycle_log import Lifecycle
from app.services.ingest import files as ingest_files

BATCH_BYTES = 2 * 1024 * 1024
BATCH_FILES = 100  # files per transaction: few enough to be quick, enough to share its cost
MAX_EXAMINED = 4 * BATCH_FILES  # so that four workers can claim at the same time

LEASES = LeaseTable(
    key=ReportFile.id,
    until=ReportFile.lease_until,
    attempt=ReportFile.attempt,
    active=ReportFile.status == RECEIVED,
    duration=lambda: settings.current().ingest_lease_seconds,
)
IS_QUEUED = (ReportFile.status == RECEIVED) & ReportFile.lease_until.is_(None)


@dataclass(frozen=True, slots=True)
class Claim:
    """A file that this process holds until its lease expires."""

    lease: Lease[UUID]
    account_id: UUID
    sha256: bytes
    entry: str
    file_name: str | None
    received_via: str
    sender_metadata: SenderMetadata

    @property
    def report_file_id(self) -> UUID:
        """The id of the file."""
        return self.lease.key

    @property
    def content_key(self) -> tuple[UUID, bytes]:
        """The primary key of the stored bytes."""
        return self.account_id, self.sha256


def claim(report_file_ids: Sequence[UUID] = ()) -> list[Claim]:
    """Claim a batch of these files, except claimed or finished ones.

    report_file_ids  none: all files before their first attempt. Files are claimed from each
                     account in rotation, so that no account waits for the thousands of files of
                     another
    """
    with transaction() as session:
        candidates = _next_files(session, report_file_ids)
        free = LEASES.lock_listed(session, candidates, IS_QUEUED, limit=BATCH_FILES)
        rows = {
            row.id: row
            for row in session.scalars(select(ReportFile).where(ReportFile.id.in_(free)))
        }
        leases = LEASES.take(session, _batch([rows[report_file_id] for report_file_id in free]))
    return [_claim(lease, rows[lease.key]) for lease in leases]


def _next_files(session: Session, report_file_ids: Sequence[UUID]) -> Sequence[UUID]:
    """The files to claim next: the oldest file of each account, then the second of each, and so on.

    This is a separate query: joined with the locking query, PostgreSQL would rank all files again
    for each row, because it underestimates how many are queued.
    """
    is_listed = ReportFile.id.in_(report_file_ids) if report_file_ids else ReportFile.attempt == 0
    order = (ReportFile.enqueued_at, ReportFile.id)
    position = func.row_number().over(partition_by=ReportFile.account_id, order_by=order)
    return session.scalars(
        select(ReportFile.id)
        .where(IS_QUEUED, is_listed)
        .order_by(position, *order)
        .limit(MAX_EXAMINED)
    ).all()


def _batch(files: Sequence[ReportFile]) -> list[UUID]:
    """The first files of at most BATCH_BYTES in total, and at least one."""
    report_file_ids: list[UUID] = []
    total = 0
    for file in files:
        total += file.size_bytes
        if report_file_ids and total > BATCH_BYTES:
            break
        report_file_ids.append(file.id)
    return report_file_ids


def _claim(lease: Lease[UUID], file: ReportFile) -> Claim:
    return Claim(
        lease=lease,
        account_id=file.account_id,
        sha256=file.sha256,
        entry=file.entry,
        file_name=file.file_name,
        received_via=file.received_via,
        sender_metadata=file.sender_metadata,
    )


def release(claims: Sequence[Claim]) -> None:
    """Release the files immediately; an attempt that was not begun does not count."""
    with transaction() as session:
        leases = [claim.lease for claim in claims]
        report_file_ids = LEASES.release(session, leases, enqueued_at=transactions.now(session))
        ingest_files.log_all(session, Lifecycle.REPORT_FILE_REQUEUED, report_file_ids)
        after_commit(session, lambda: ingest_files.enqueue(report_file_ids))

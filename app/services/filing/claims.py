"""Claims of report files: which worker processes a file, until when, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from app import settings
from app.db import bulk, query_plans, transactions
from app.db.transactions import after_commit, transaction
from app.models import ReportFile
from app.models.reports import RECEIVED
from app.models.stored_json import SenderMetadata
from app.services.core.leases import Lease, LeaseTable
from app.services.core.lifecycle_log import Lifecycle
from app.services.ingest import files as ingest_files

BATCH_BYTES = 2 * 1024 * 1024
BATCH_FILES = 100  # files per transaction: few enough to be quick, enough to share its cost

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
    is_own = IS_QUEUED & ReportFile.id.in_(report_file_ids)
    condition = is_own if report_file_ids else ingest_files.IS_FIRST_ATTEMPT
    with transaction() as session:
        order = (ReportFile.virtual_start,)
        with query_plans.index_order(session):
            free = LEASES.lock(session, condition, order=order, limit=BATCH_FILES)
        if not free:
            return []
        rows = {
            row.id: row
            for row in session.scalars(
                select(ReportFile).where(bulk.is_any(session, ReportFile.id, free))
            )
        }
        leases = LEASES.take(session, _batch([rows[report_file_id] for report_file_id in free]))
    return [_claim(lease, rows[lease.key]) for lease in leases]


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

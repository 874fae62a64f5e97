"""The page of an account's report files: uploads, and the files with their numbers by status."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.db.transactions import transaction
from app.models.reports import STATUSES
from app.services.filing import retries
from app.services.ingest import files
from app.services.ingest.files import ReportFileFilter

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class FilePage:
    """A page of an account's report files, and the numbers of all its files.

    cursor_values  the start of the next page; None if there is none
    statuses       the number of files by status, with every status
    reasons        the number of rejected files by reason
    changed_reasons  those with files that may end differently now
    obstacles      why each file cannot be reprocessed; None: it can
    """

    rows: Sequence[Any]
    cursor_values: Sequence[Any] | None
    statuses: Mapping[str, int]
    reasons: Mapping[str, int]
    changed_reasons: Collection[str]
    obstacles: Mapping[UUID, str | None]

    @property
    def total(self) -> int:
        """The number of all files of the account."""
        return sum(self.statuses.values())


@dataclass(frozen=True, slots=True)
class UploadCounts:
    """How many uploaded files were stored, and how many had been sent before."""

    new: int
    duplicates: int


def upload(
    account_id: UUID, uploads: Iterable[tuple[str, bytes]], uploaded_by: str
) -> UploadCounts:
    """Store the files, each in a transaction of its own; a worker processes them.

    uploads      names and bytes; the files before one that cannot be read or stored stay stored
    uploaded_by  the email address of the user
    raises       QuotaExceeded
    """
    is_new = [
        files.store(
            account_id,
            raw,
            received_via="dashboard",
            file_name=name,
            sender_metadata={"uploaded_by": uploaded_by},
        ).is_new
        for name, raw in uploads
    ]
    return UploadCounts(new=is_new.count(True), duplicates=is_new.count(False))


def page(account_id: UUID, status: str | None, after: Sequence[Any] | None) -> FilePage:
    """Return PAGE_SIZE files with this status, newest first, and the numbers of all files.

    status  None: files with any status
    after   the cursor values of the previous page
    """
    with transaction(readonly=True, snapshot=True) as session:
        listing = files.search(account_id, ReportFileFilter(status=status))
        rows, cursor_values = listing.page(after, PAGE_SIZE, session)
        numbers = files.read_counts(session, account_id)
        obstacles = retries.obstacles(session, [row.id for row in rows])
        changed_reasons = retries.changed_reasons(session, account_id)
    statuses = dict.fromkeys(STATUSES, 0)
    for row in numbers:
        statuses[row.status] += row.number
    return FilePage(
        rows=rows,
        cursor_values=cursor_values,
        statuses=statuses,
        reasons={
            row.reason: row.number for row in numbers if row.status == "rejected" and row.reason
        },
        changed_reasons=changed_reasons,
        obstacles=obstacles,
    )

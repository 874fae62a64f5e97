"""Claims of report files: which worker reads a file, until when, and in which order."""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Update, func, select, update
from sqlalchemy.orm import Session

from app import settings
from app.db.transactions import after_commit, now, transaction
from app.models import ReportFile
from app.models.reports import RECEIVED
from app.services.ingest import files as ingest_files

BATCH_BYTES = 2 * 1024 * 1024
BATCH_FILES = 100  # files a transaction: few enough to be quick, enough to share its cost


MAX_EXAMINED = 4 * BATCH_FILES  # so many workers may claim at the same time


@dataclass(frozen=True, slots=True)
class Claim:
    """A file that this process has until its lease ends."""

    report_file_id: UUID
    attempt: int
    account_id: UUID
    sha256: bytes
    entry: str
    received_via: str
    claims: Mapping[str, Any]

    @property
    def content(self) -> tuple[UUID, bytes]:
        """What names its bytes."""
        return self.account_id, self.sha256


def claim(report_file_ids: Sequence[UUID] = ()) -> list[Claim]:
    """Claim a few of these files that are free; without ids, of those never tried.

    One of each account in turn, so that no account waits for the thousands of files of another.
    """
    with transaction() as session:
        chosen: list[UUID] = []
        total = 0
        for row in _locked(session, _next_files(session, report_file_ids)):
            total += row.size_bytes
            if chosen and total > BATCH_BYTES:
                break
            chosen.append(row.id)
        taken = session.execute(
            update(ReportFile)
            .where(ReportFile.id.in_(chosen))
            .values(
                attempt=ReportFile.attempt + 1,
                lease_until=now(session) + settings.current().ingest_lease_seconds,
            )
            .returning(
                ReportFile.id,
                ReportFile.attempt,
                ReportFile.account_id,
                ReportFile.sha256,
                ReportFile.entry,
                ReportFile.received_via,
                ReportFile.sender_metadata,
            )
        ).all()
    order = {report_file_id: index for index, report_file_id in enumerate(chosen)}
    return sorted((Claim(*row) for row in taken), key=lambda claimed: order[claimed.report_file_id])


_FREE = (ReportFile.status == RECEIVED) & ReportFile.lease_until.is_(None)


def _next_files(session: Session, report_file_ids: Sequence[UUID]) -> Sequence[UUID]:
    """The files to take next: the oldest of each account, the second ones, …"""
    which = ReportFile.id.in_(report_file_ids) if report_file_ids else ReportFile.attempt == 0
    order = (ReportFile.enqueued_at, ReportFile.id)
    turn = func.row_number().over(partition_by=ReportFile.account_id, order_by=order)
    # By itself: joined with what is to be locked PostgreSQL ranks all files again for each of them,
    # as it takes those that wait to be few.
    return session.scalars(
        select(ReportFile.id).where(_FREE, which).order_by(turn, *order).limit(MAX_EXAMINED)
    ).all()


def _locked(session: Session, report_file_ids: Sequence[UUID]) -> list[Row[UUID, int]]:
    """Id and size of the first free files of these, in their order."""
    found: list[Row[UUID, int]] = []
    for start in range(0, len(report_file_ids), BATCH_FILES):
        some = report_file_ids[start : start + BATCH_FILES]
        rows = session.execute(
            select(ReportFile.id, ReportFile.size_bytes)
            .where(ReportFile.id.in_(some), _FREE)
            .with_for_update(skip_locked=True)
        )
        found += sorted(rows, key=lambda row: some.index(row.id))
        if len(found) >= BATCH_FILES:
            break
    return found[:BATCH_FILES]


@contextmanager
def hold_leases(claims: Sequence[Claim]) -> Iterator[None]:
    """Keep the leases up meanwhile, in a thread: one file may take longer than a lease."""
    is_over = threading.Event()

    def renew() -> None:
        while not is_over.wait(settings.current().ingest_lease_seconds.total_seconds() / 3):
            with contextlib.suppress(Exception), transaction() as session:
                until = now(session) + settings.current().ingest_lease_seconds
                for claimed in claims:
                    session.execute(leased(claimed).values(lease_until=until))

    keeper = threading.Thread(target=renew, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        is_over.set()
        keeper.join()


def release(claims: Sequence[Claim]) -> None:
    """Let others have them at once; an attempt that was not begun does not count."""
    with transaction() as session:
        moment = now(session)
        for attempt in {claimed.attempt for claimed in claims}:
            ids = [claimed.report_file_id for claimed in claims if claimed.attempt == attempt]
            ours = (
                ReportFile.id.in_(ids)
                & (ReportFile.attempt == attempt)
                & (ReportFile.status == RECEIVED)
            )
            values = {"attempt": attempt - 1, "lease_until": None, "enqueued_at": moment}
            session.execute(update(ReportFile).where(ours).values(values))
        after_commit(
            session, lambda: ingest_files.enqueue([claim.report_file_id for claim in claims])
        )


def leased(claimed: Claim) -> Update:
    is_mine = (ReportFile.id == claimed.report_file_id) & (ReportFile.attempt == claimed.attempt)
    return update(ReportFile).where(is_mine, ReportFile.status == RECEIVED)

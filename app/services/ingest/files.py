"""Report files for callers: store, list and count them.

A file is acknowledged once its bytes and its row are committed; a worker parses it afterwards.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, case, func, literal_column, select, update
from sqlalchemy.orm import Session

from app import ids
from app.db import bulk, transactions
from app.db.transactions import after_commit, transaction
from app.errors import NotFound
from app.jobs import queue
from app.models import DmarcReport, FailureReport, RawFile, ReportFile, TlsReport
from app.models.reports import IS_FIRST_ATTEMPT as FIRST_ATTEMPT
from app.models.reports import RECEIVED
from app.models.stored_json import SenderMetadata
from app.services.core import lifecycle_log
from app.services.core.lifecycle_log import Lifecycle
from app.services.core.listing import FilteredTable, Listing
from app.services.ingest import authenticity, budgets
from app.services.scheduling.fair_queue import FairQueue

ENQUEUE_BATCH_SIZE = 100  # ids in one job
IS_READ = ReportFile.status.in_(("parsed", "duplicate"))
MAX_NAME_LENGTH = 300
# A literal, because databases do not use a partial index for parameters of a prepared statement.
IS_FIRST_ATTEMPT: ColumnElement[bool] = literal_column(FIRST_ATTEMPT)
_QUEUE = FairQueue("report_files", ReportFile, IS_FIRST_ATTEMPT)

COLUMNS = (
    ReportFile.id,
    ReportFile.received_via,
    ReportFile.file_name,
    ReportFile.entry,
    ReportFile.size_bytes,
    ReportFile.received_at,
    ReportFile.finished_at,
    ReportFile.status,
    ReportFile.reason,
    ReportFile.detail,
    ReportFile.provenance,
    ReportFile.kind,
    ReportFile.policy_domain,
    ReportFile.report_id,
    ReportFile.reporter,
    ReportFile.envelope_from,
    ReportFile.header_from,
    ReportFile.subject,
    ReportFile.attachment_name,
    ReportFile.author,
    ReportFile.authenticity,
)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is stored; ``is_new`` is False if the account had sent the same bytes before."""

    file: ReportFile
    is_new: bool


@dataclass(frozen=True, slots=True)
class ReportFileFilter:
    """Which files to list; ``from_at`` and ``to_at`` are bounds of ``received_at``."""

    status: str | None = None
    reason: str | None = None
    kind: str | None = None
    policy_domain: str | None = None
    authenticity: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


class NewFile(NamedTuple):
    """A file to store, as in ``store``."""

    raw: bytes
    name: str | None = None
    sender_metadata: SenderMetadata | None = None


class _Arrival(NamedTuple):
    """A file that arrives, and how."""

    account_id: UUID
    raw: bytes
    sha256: bytes
    received_via: str
    sender_metadata: SenderMetadata
    at: datetime


_LISTS: FilteredTable[ReportFileFilter] = FilteredTable(
    table=ReportFile,
    columns=COLUMNS,
    equals=("status", "reason", "kind", "policy_domain", "authenticity"),
    time_column=ReportFile.received_at,
)


def store(
    account_id: UUID,
    raw: bytes,
    *,
    received_via: str,
    file_name: str | None = None,
    sender_metadata: SenderMetadata | None = None,
) -> StoredFile:
    """Store a file and have a worker parse it.

    received_via     one of ``models.reports.RECEIVED_VIA``
    sender_metadata  what the channel that received the file knows about its sender
    returns          once bytes and row are committed; the first row for bytes that were sent before
    raises           QuotaExceeded above the part of the account's daily quota for this sender
    """
    file = NewFile(raw, file_name, sender_metadata)
    with transaction() as session:
        return store_in(session, account_id, file, received_via=received_via)


def store_all(
    account_id: UUID, new_files: Sequence[NewFile], *, received_via: str
) -> Sequence[StoredFile]:
    """Store files as ``store`` does, in one transaction: all or none."""
    with transaction() as session:
        return [
            store_in(session, account_id, file, received_via=received_via) for file in new_files
        ]


def store_in(session: Session, account_id: UUID, file: NewFile, *, received_via: str) -> StoredFile:
    """Store a file as ``store`` does, in the caller's transaction."""
    metadata = budgets.classify(session, account_id, received_via, file.sender_metadata or {})
    arrival = _Arrival(
        account_id=account_id,
        raw=file.raw,
        sha256=hashlib.sha256(file.raw).digest(),
        received_via=received_via,
        sender_metadata=metadata,
        at=transactions.now(session),
    )
    if (existing := session.scalar(_first_of(account_id, arrival.sha256))) is not None:
        is_forced = _raise_rank(session, existing, arrival)
        _reprocess(session, existing, arrival, is_forced=is_forced)
        return StoredFile(existing, False)
    budgets.count_file(session, account_id, len(file.raw), received_via, metadata)
    _store_bytes(session, arrival)
    return _insert(session, arrival, file.name)


def _insert(session: Session, arrival: _Arrival, file_name: str | None) -> StoredFile:
    """Insert the row; a concurrent request may have inserted one for the same bytes."""
    row = {
        "id": ids.new(),
        "account_id": arrival.account_id,
        "received_via": arrival.received_via,
        "sha256": arrival.sha256,
        "size_bytes": len(arrival.raw),
        "file_name": _printable(file_name),
        "entry": "",
        "received_at": arrival.at,
        "status": RECEIVED,
        "provenance": "unverified",
        "sender_metadata": arrival.sender_metadata,
        "attempt": 0,
        "enqueued_at": arrival.at,
        "virtual_start": _QUEUE.reserve(session, arrival.account_id, 1)[0],
    }
    statement = bulk.insert(session, ReportFile).on_conflict_do_nothing().returning(ReportFile)
    inserted = session.scalars(statement, [row]).first()
    if inserted is None:
        statement = _first_of(arrival.account_id, arrival.sha256)
        return StoredFile(session.scalars(statement).one(), False)
    log(session, Lifecycle.REPORT_FILE_RECEIVED, inserted)
    after_commit(session, lambda: enqueue([inserted.id]))
    return StoredFile(inserted, True)


def add_entry(session: Session, file: ReportFile, entry: str, now: datetime) -> ReportFile | None:
    """Insert the row of a further report in a file, in the caller's transaction.

    returns  None if the row exists from an earlier attempt
    """
    row = {
        "id": ids.new(),
        "account_id": file.account_id,
        "received_via": file.received_via,
        "sha256": file.sha256,
        "size_bytes": file.size_bytes,
        "file_name": file.file_name,
        "entry": entry,
        "received_at": file.received_at,
        "sender_metadata": file.sender_metadata,
        "status": RECEIVED,
        "provenance": "unverified",
        "attempt": 1,
        "enqueued_at": now,
    }
    insert = bulk.insert(session, ReportFile).on_conflict_do_nothing().returning(ReportFile)
    return session.scalars(insert, [row]).first()


def log(session: Session, event: Lifecycle, file: Any, **fields: Any) -> None:
    """Log the event once the caller's transaction is committed.

    file  the file, or a row with its id, account_id and received_via
    """
    lifecycle_log.record(
        session,
        event,
        account_id=file.account_id,
        report_file_id=file.id,
        received_via=file.received_via,
        **fields,
    )


def log_all(session: Session, event: Lifecycle, report_file_ids: Sequence[UUID]) -> None:
    """Log the same event for each of these files, as ``log``."""
    for row in session.scalars(select(ReportFile).where(ReportFile.id.in_(report_file_ids))):
        log(session, event, row, attempt=row.attempt, reason=row.reason)


def enqueue(report_file_ids: Sequence[UUID]) -> None:
    """Enqueue a job for the files; if Redis is unavailable, the clock enqueues one later.

    One waiting job is enough, because it processes all files that are queued by then.
    """
    if report_file_ids and queue.is_idle(queue.INGEST):
        queue.enqueue_report_files(report_file_ids[:ENQUEUE_BATCH_SIZE])


def search(account_id: UUID, filters: ReportFileFilter) -> Listing:
    """Return the list of matching report files as rows of COLUMNS, newest first."""
    return _LISTS.matching(account_id, filters)


def raw_of(session: Session, account_id: UUID, report_file_id: UUID) -> bytes:
    """Return the bytes of a file of the account as they were received.

    Runs in the caller's transaction.

    raises  NotFound if the bytes are no longer stored
    """
    content = session.scalar(
        select(RawFile.content)
        .join(
            ReportFile,
            (ReportFile.account_id == RawFile.account_id) & (ReportFile.sha256 == RawFile.sha256),
        )
        .where(ReportFile.account_id == account_id, ReportFile.id == report_file_id)
    )
    if content is None:
        public_id = ids.public("file", report_file_id)
        raise NotFound(f"The bytes of report file {public_id!r} are no longer stored.")
    return content


def counts(account_id: UUID | None = None) -> Sequence[Row[Any]]:
    """Return rows of status, reason and number of files.

    account_id  None: of the files of all accounts
    """
    with transaction(readonly=True) as session:
        return read_counts(session, account_id)


def read_counts(session: Session, account_id: UUID | None) -> Sequence[Row[Any]]:
    """As ``counts``, in the caller's transaction."""
    columns = (ReportFile.status, ReportFile.reason)
    statement: Any = select(*columns, func.count().label("number"))
    if account_id is not None:
        statement = statement.where(ReportFile.account_id == account_id)
    rows: Sequence[Row[Any]] = session.execute(
        statement.group_by(*columns).order_by(*columns)
    ).all()
    return rows


def parse_again(session: Session, matches: ColumnElement[bool], now: datetime) -> None:
    """Have a worker parse these files once more; runs in the caller's transaction."""
    columns = (ReportFile.id, ReportFile.account_id, ReportFile.received_via)
    files = session.execute(
        select(*columns).where(matches).order_by(ReportFile.id).with_for_update()
    ).all()
    for part in bulk.batched(files):
        _queue_again(session, part, now)
    for file in files:
        log(session, Lifecycle.REPORT_FILE_REQUEUED, file)
    after_commit(session, lambda: enqueue([file.id for file in files]))


def _queue_again(session: Session, files: Sequence[Any], now: datetime) -> None:
    """Reset these files, and assign each its position."""
    starts = _QUEUE.reserve_all(session, [file.account_id for file in files])
    rows = [(file.id.hex, start) for file, start in zip(files, starts, strict=True)]
    names = ("id", "virtual_start")
    connection = session.connection()
    positions = bulk.values_table(connection.dialect.name, ReportFile, names)
    statement = (
        update(ReportFile)
        .where(ReportFile.id == positions.c.id)
        .values(
            status=RECEIVED,
            reason=None,
            detail=None,
            report_id=case((IS_READ, ReportFile.report_id)),
            attempt=0,
            lease_until=None,
            finished_at=None,
            enqueued_at=now,
            virtual_start=positions.c.virtual_start,
            retried_at=now,
            authenticity=None,
        )
    )
    connection.execute(statement, bulk.values_parameters(connection, names, rows))


def _first_of(account_id: UUID, sha256: bytes) -> Select[ReportFile]:
    """The row of the file itself; further reports in the file have their own rows."""
    return select(ReportFile).where(
        ReportFile.account_id == account_id,
        ReportFile.sha256 == sha256,
        ReportFile.entry == "",
    )


def _raise_rank(session: Session, file: ReportFile, arrival: _Arrival) -> bool:
    """Record that the same bytes arrived again with better provenance; return whether they did.

    Otherwise anyone who sends a copy first could lower the provenance of the account's upload.
    """
    new_rank = authenticity.rank(arrival.received_via, arrival.sender_metadata)
    if new_rank <= authenticity.rank(file.received_via, file.sender_metadata):
        return False
    session.execute(
        update(ReportFile)
        .where(ReportFile.account_id == file.account_id, ReportFile.sha256 == file.sha256)
        .values(received_via=arrival.received_via, sender_metadata=arrival.sender_metadata)
        .execution_options(synchronize_session=False)
    )
    return True


def _reprocess(session: Session, file: ReportFile, arrival: _Arrival, *, is_forced: bool) -> None:
    """Parse bytes that arrive again if nothing is left of the first time, or if forced."""
    is_spent = file.status in ("rejected", "unattributed") and not session.scalar(
        select(func.count()).where(
            RawFile.account_id == file.account_id, RawFile.sha256 == file.sha256
        )
    )
    if not is_forced and not is_spent and not _is_orphan(session, file):
        return
    _store_bytes(session, arrival)
    is_same = (ReportFile.account_id == file.account_id) & (ReportFile.sha256 == file.sha256)
    parse_again(session, is_same, arrival.at)
    session.refresh(file)


def _is_orphan(session: Session, file: ReportFile) -> bool:
    """Whether the report of the file was deleted, as with its domain."""
    if file.report_id is None:
        return False
    return not any(
        session.scalar(select(func.count()).where(table.id == file.report_id))
        for table in (DmarcReport, TlsReport, FailureReport)
    )


def _store_bytes(session: Session, arrival: _Arrival) -> None:
    row = {
        "account_id": arrival.account_id,
        "sha256": arrival.sha256,
        "content": arrival.raw,
        "created_at": arrival.at,
    }
    session.execute(bulk.insert(session, RawFile).on_conflict_do_nothing(), [row])


def _printable(file_name: str | None) -> str | None:
    """The name without control characters, cut to the length of the column."""
    if file_name is None:
        return None
    return "".join(c for c in file_name if c.isprintable())[:MAX_NAME_LENGTH] or None

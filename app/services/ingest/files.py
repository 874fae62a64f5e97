"""Files of reports as those who send them see them: taken in, found, counted, tried again.

What is acknowledged is committed: the bytes and a row. What is in them a worker finds out later.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, exists, func, or_, select, update
from sqlalchemy.orm import Session

from app import ids
from app.db import bulk, transactions
from app.db.transactions import after_commit, transaction
from app.errors import NotFound
from app.jobs import queue
from app.models import DmarcReport, FailureReport, RawFile, ReportFile, TlsReport
from app.models.reports import RECEIVED
from app.services.core import audit_log, listing
from app.services.core.listing import Listing
from app.services.ingest import authenticity as ingest_authenticity
from app.services.ingest import budgets

ENQUEUE_BATCH_SIZE = 100  # ids in one job
RETRY_BATCH_SIZE = 5_000

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
    ReportFile.author,
    ReportFile.authenticity,
)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is kept now; ``is_new`` is False if the account had sent the same bytes."""

    file: ReportFile
    is_new: bool


@dataclass(frozen=True, slots=True)
class ReportFileFilter:
    """Which files; ``about`` is a domain's name, the times bound ``received_at``."""

    status: str | None = None
    reason: str | None = None
    kind: str | None = None
    policy_domain: str | None = None
    authenticity: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


def store(
    account_id: UUID,
    raw: bytes,
    *,
    received_via: str,
    file_name: str | None = None,
    claims: Mapping[str, Any] | None = None,
) -> StoredFile:
    """Keep a file, and have a worker look what is in it.

    way      one of ``models.reports.WAYS``
    claims   sender metadata from the channel that received it (JSON)
    returns  once bytes and row are committed; the first row for bytes that were sent before
    raises   QuotaExceeded above the part of the account's day that this sender may use
    """
    digest = hashlib.sha256(raw).digest()
    with transaction() as session:
        now = transactions.now(session)
        claims = budgets.classify(session, account_id, received_via, claims or {})
        if (known := _existing(session, account_id, digest)) is not None:
            is_forced = _raise_rank(session, known, received_via, claims)
            _reprocess(session, known, raw, now, is_forced=is_forced)
            return StoredFile(known, False)
        budgets.count_file(session, account_id, len(raw), received_via, claims)
        _store(session, account_id, digest, raw, now)
        report_file_id = ids.new()
        row = {
            "id": report_file_id,
            "account_id": account_id,
            "received_via": received_via,
            "sha256": digest,
            "size_bytes": len(raw),
            "file_name": _name(file_name),
            "entry": "",
            "received_at": now,
            "status": RECEIVED,
            "provenance": "unverified",
            "sender_metadata": claims,
            "attempt": 0,
            "enqueued_at": now,
        }
        made = session.execute(
            bulk.insert(session, ReportFile).on_conflict_do_nothing().returning(ReportFile.id),
            [row],
        ).all()
        if made:
            after_commit(session, lambda: enqueue([report_file_id]))
        report_file = _existing(session, account_id, digest)
        assert report_file is not None  # either ours, or the row of a simultaneous request
        return StoredFile(report_file, bool(made))


def enqueue(report_file_ids: Sequence[UUID]) -> None:
    """Tell the queue of the files; if Redis is down the clock will.

    One job is enough while it waits: it reads everything received by then.
    """
    if report_file_ids and queue.is_idle(queue.INGEST):
        queue.enqueue_report_files(report_file_ids[:ENQUEUE_BATCH_SIZE])


def search(account_id: UUID, filters: ReportFileFilter) -> Listing:
    """Rows of COLUMNS, newest first."""
    everything: Any = select(*COLUMNS).where(ReportFile.account_id == account_id)
    return Listing(_filtered(everything, filters), (ReportFile.id.desc(),))


def raw_of(session: Session, account_id: UUID, report_file_id: UUID) -> bytes:
    """The bytes of a file as they were received; a step.

    raises  NotFound also when they are not kept any more
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
        raise NotFound
    return content


def counts(account_id: UUID | None = None) -> Sequence[Row[Any]]:
    """(state, reason, number) of all files; of every account without one."""
    statement = select(ReportFile.status, ReportFile.reason, func.count().label("number"))
    if account_id is not None:
        statement = statement.where(ReportFile.account_id == account_id)
    with transaction(readonly=True) as session:
        rows: Any = session.execute(
            statement.group_by(ReportFile.status, ReportFile.reason).order_by(
                ReportFile.status, ReportFile.reason
            )
        ).all()
    found: Sequence[Row[Any]] = rows
    return found


def retry(
    report_file_id: UUID | None = None,
    reason: str | None = None,
    *,
    account_id: UUID | None = None,
    actor: str = "system",
) -> int:
    """Have files read again whose bytes are still there: one, or all with this reason.

    account_id  whose; without one, everybody's
    returns     how many; those that are parsed, or repeat what is parsed, are none of them
    """
    wanted = ReportFile.id == report_file_id if report_file_id else ReportFile.reason == reason
    if account_id is not None:
        wanted = wanted & (ReportFile.account_id == account_id)
    with transaction() as session:
        chosen = session.scalars(
            select(ReportFile.id)
            .where(wanted, ReportFile.status.in_(("quarantined", "unattributed")), _has_raw())
            .order_by(ReportFile.id)
            .limit(RETRY_BATCH_SIZE)
            .with_for_update(skip_locked=True)
        ).all()
        parse_again(session, ReportFile.id.in_(chosen), transactions.now(session))
        if account_id is not None and chosen:
            target = ids.public("file", report_file_id) if report_file_id else reason or ""
            audit_log.record(
                session,
                account_id,
                actor=actor,
                action="report_file.retried",
                target=target,
                files=len(chosen),
            )
    return len(chosen)


def retry_for_domain(session: Session, account_id: UUID, domain: str) -> None:
    """Reprocess unattributed reports of an added domain; runs in the caller's transaction."""
    name = domain.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    parse_again(
        session,
        (ReportFile.account_id == account_id)
        & (ReportFile.status == "unattributed")
        & or_(
            ReportFile.policy_domain == domain,
            ReportFile.policy_domain.like(f"%.{name}", escape="\\"),
        )
        & _has_raw(),
        transactions.now(session),
    )


def parse_again(session: Session, wanted: Any, now: datetime) -> None:
    """Have a worker parse these files once more; runs in the caller's transaction."""
    chosen = session.scalars(
        update(ReportFile)
        .where(wanted)
        .values(
            status=RECEIVED,
            reason=None,
            detail=None,
            report_id=None,
            attempt=0,
            lease_until=None,
            finished_at=None,
            enqueued_at=now,
            retried_at=now,
            authenticity=None,
        )
        .returning(ReportFile.id)
        .execution_options(synchronize_session=False)
    ).all()
    after_commit(session, lambda: enqueue(chosen))


def _has_raw() -> Any:
    return exists().where(
        RawFile.account_id == ReportFile.account_id, RawFile.sha256 == ReportFile.sha256
    )


def _existing(session: Session, account_id: UUID, digest: bytes) -> ReportFile | None:
    return session.scalar(
        select(ReportFile).where(
            ReportFile.account_id == account_id,
            ReportFile.sha256 == digest,
            ReportFile.entry == "",
        )
    )


def _raise_rank(
    session: Session, report_file: ReportFile, received_via: str, claims: Mapping[str, Any]
) -> bool:
    """Note that the same bytes arrived again in a way that proves more; whether they did.

    A copy that a stranger sent first must not take away what the account's own upload is worth.
    """
    if ingest_authenticity.rank(received_via, claims) <= ingest_authenticity.rank(
        report_file.received_via, report_file.sender_metadata
    ):
        return False
    session.execute(
        update(ReportFile)
        .where(
            ReportFile.account_id == report_file.account_id, ReportFile.sha256 == report_file.sha256
        )
        .values(received_via=received_via, sender_metadata=dict(claims))
        .execution_options(synchronize_session=False)
    )
    return True


def _reprocess(
    session: Session, report_file: ReportFile, raw: bytes, now: datetime, *, is_forced: bool
) -> None:
    """The same bytes again: read them once more if there is nothing left of the first time."""
    is_spent = report_file.status in ("quarantined", "unattributed") and not session.scalar(
        select(func.count()).where(
            RawFile.account_id == report_file.account_id, RawFile.sha256 == report_file.sha256
        )
    )
    if not is_forced and not is_spent and not _is_orphan(session, report_file):
        return
    _store(session, report_file.account_id, report_file.sha256, raw, now)
    same = (ReportFile.account_id == report_file.account_id) & (
        ReportFile.sha256 == report_file.sha256
    )
    parse_again(session, same, now)
    session.refresh(report_file)


def _is_orphan(session: Session, report_file: ReportFile) -> bool:
    """The report that it became has gone, with its domain."""
    if report_file.report_id is None:
        return False
    return not any(
        session.scalar(select(func.count()).where(table.id == report_file.report_id))
        for table in (DmarcReport, TlsReport, FailureReport)
    )


def _store(session: Session, account_id: UUID, digest: bytes, raw: bytes, now: datetime) -> None:
    row = {"account_id": account_id, "sha256": digest, "content": raw, "created_at": now}
    session.execute(bulk.insert(session, RawFile).on_conflict_do_nothing(), [row])


def _name(file_name: str | None) -> str | None:
    """A name that can be kept and shown: no control characters, and no longer than it may be."""
    if file_name is None:
        return None
    return "".join(c for c in file_name if c.isprintable())[:300] or None


def _filtered(statement: Select[Any], filters: ReportFileFilter) -> Select[Any]:
    wanted = (
        (ReportFile.status, filters.status),
        (ReportFile.reason, filters.reason),
        (ReportFile.kind, filters.kind),
        (ReportFile.policy_domain, filters.policy_domain),
        (ReportFile.authenticity, filters.authenticity),
    )
    return listing.apply_filters(statement, wanted, ReportFile.received_at, filters)

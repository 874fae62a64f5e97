"""Scans and batches of scans. The row is the source of truth; a job only refers to it."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    text,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column

from app import ids, wall_clock
from app.db.types import Base, BoundedText, Json, JsonOrNull, UtcDateTime
from app.models.stored_json import StoredScanResult, StoredScore

UNFINISHED = ("queued", "running")
STATUSES = (*UNFINISHED, "completed", "failed", "cancelled")
TRIGGERS = ("api", "schedule", "dashboard", "cli")
MAX_ATTEMPTS = 5


class Scan(Base):
    """A scan of a domain.

    attempt      the number of claims; only the result of the last attempt is stored
    lease_until  when the lease of the claiming worker expires
    is_bulk      whether it was requested with others or by a schedule; the others come first
    virtual_start  the position among the queued scans of all accounts (``scheduling.fair_queue``)
    enqueued_at  when its job was last enqueued
    summary      the number of checks, by verdict
    has_changes  whether a record, a definite verdict or an alert changed; None: not determined
    verdict_changes  (before, after) of the checks whose definite verdict changed; None: of none
    """

    __tablename__ = "scans"
    __table_args__ = (
        ForeignKeyConstraint(
            ["account_id", "domain_id"],
            ["domains.account_id", "domains.id"],
            ondelete="CASCADE",
        ),
        Index(
            "uq_scans_unfinished",
            "domain_id",
            unique=True,
            sqlite_where=text("status IN ('queued', 'running')"),
            postgresql_where=text("status IN ('queued', 'running')"),
        ),
        Index(
            "ix_scans_queued",
            "enqueued_at",
            sqlite_where=text("status = 'queued'"),
            postgresql_where=text("status = 'queued'"),
        ),
        Index(
            "ix_scans_running",
            "account_id",
            "is_bulk",
            sqlite_where=text("status = 'running'"),
            postgresql_where=text("status = 'running'"),
        ),
        Index(
            "ix_scans_queue",
            "is_bulk",
            "virtual_start",
            "id",
            sqlite_where=text("status = 'queued'"),
            postgresql_where=text("status = 'queued'"),
        ),
        Index(None, "account_id", "id"),
        Index(None, "domain_id", "id"),
        Index(
            "ix_scans_verdict_changes",
            "account_id",
            "finished_at",
            sqlite_where=text("verdict_changes IS NOT NULL"),
            postgresql_where=text("verdict_changes IS NOT NULL"),
        ),
        Index(
            "ix_scans_requested",
            "account_id",
            "requested_by",
            sqlite_where=text("trigger <> 'schedule'"),
            postgresql_where=text("trigger <> 'schedule'"),
        ),
        CheckConstraint(
            "status IN ('queued', 'running', 'completed', 'failed', 'cancelled')", name="status"
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column()
    domain_id: Mapped[UUID] = mapped_column()
    domain_name: Mapped[str] = mapped_column(BoundedText(253))
    status: Mapped[str] = mapped_column(BoundedText(16), default="queued")
    trigger: Mapped[str] = mapped_column(BoundedText(16), default="api")
    requested_by: Mapped[str] = mapped_column(BoundedText(300), default="system")
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    enqueued_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    is_bulk: Mapped[bool] = mapped_column(default=True, server_default=true())
    virtual_start: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    attempt: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    query_count: Mapped[int | None] = mapped_column()
    score: Mapped[StoredScore | None] = mapped_column(Json)
    summary: Mapped[dict[str, int] | None] = mapped_column(Json)
    result: Mapped[StoredScanResult | None] = mapped_column(Json, deferred=True)
    has_changes: Mapped[bool | None] = mapped_column()
    verdict_changes: Mapped[dict[str, list[str]] | None] = mapped_column(JsonOrNull)
    error: Mapped[str | None] = mapped_column(BoundedText(300))

    @property
    def duration(self) -> timedelta | None:
        """Return the time from start to end; None if the scan has not finished."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at


class ScanBatch(Base):
    """Scans that were requested together."""

    __tablename__ = "scan_batches"
    __table_args__ = (Index(None, "account_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    requested_by: Mapped[str] = mapped_column(BoundedText(300))
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)


class BatchScan(Base):
    """A scan of a batch. A scan that was already queued may belong to several batches."""

    __tablename__ = "batch_scans"
    __table_args__ = (Index(None, "scan_id"),)

    batch_id: Mapped[UUID] = mapped_column(
        ForeignKey("scan_batches.id", ondelete="CASCADE"), primary_key=True
    )
    scan_id: Mapped[UUID] = mapped_column(
        ForeignKey("scans.id", ondelete="CASCADE"), primary_key=True
    )

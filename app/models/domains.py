"""Domains, their last results, and changes in their DNS."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app import ids, wall_clock
from app.checks.engine.stored_results import StoredLastResult
from app.checks.engine.types import Usage
from app.db.types import Base, BoundedText, Json, UtcDateTime, WordList
from app.models.stored_json import StoredScore, StoredScorePoint
from app.protocols.names import DomainName

PERIODS = {
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
}
SCHEDULES = (*PERIODS, "off")


class Domain(Base):
    """A domain that an account monitors.

    name                A-labels in lower case; unique in the account
    verified_at         when the ownership was verified; None: not verified, or no longer
    score, grade        of the last scan that yielded a score (``analysis.scan.score``)
    score_change        since a week before that scan, or since the first comparable score after it
    dmarc_policy        the policy that applies to the domain: reject, quarantine, none or missing;
                        None: not determined yet
    last_scan_…         of the last finished scan
    next_scan_at        None: no scan is scheduled
    ownership_due_at    when the ownership is checked again; None: as soon as possible
    ownership_failures  the number of consecutive definite checks without the ownership record
    ownership_lost_at   when these failures reset ``verified_at``
    legal_hold_at       since then no data of the domain is deleted; None: no legal hold
    """

    __tablename__ = "domains"
    __table_args__ = (
        UniqueConstraint("account_id", "name"),
        UniqueConstraint("account_id", "id"),
        Index(
            "uq_domains_verified_name",
            "name",
            unique=True,
            sqlite_where=text("verified_at IS NOT NULL"),
            postgresql_where=text("verified_at IS NOT NULL"),
        ),
        Index(None, "next_scan_at"),
        CheckConstraint("schedule IN ('hourly', 'daily', 'weekly', 'off')", name="schedule"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    name: Mapped[DomainName] = mapped_column(BoundedText(253))
    usage: Mapped[str] = mapped_column(BoundedText(20), default=Usage.BOTH.value)
    tags: Mapped[Sequence[str]] = mapped_column(WordList, default=list)
    dkim_selectors: Mapped[Sequence[str]] = mapped_column(WordList, default=list)
    schedule: Mapped[str] = mapped_column(BoundedText(8), default="daily")
    next_scan_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ownership_due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ownership_failures: Mapped[int] = mapped_column(default=0, server_default="0")
    ownership_lost_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    score: Mapped[int | None] = mapped_column()
    grade: Mapped[str | None] = mapped_column(BoundedText(2))
    score_version: Mapped[int | None] = mapped_column()
    score_change: Mapped[int | None] = mapped_column()
    dmarc_policy: Mapped[str | None] = mapped_column(BoundedText(16))
    last_scan_id: Mapped[UUID | None] = mapped_column()
    last_scan_status: Mapped[str | None] = mapped_column(BoundedText(16))
    last_scan_finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    profile_results: Mapped[Sequence[str]] = mapped_column(
        WordList, default=list, server_default=","
    )
    legal_hold_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    legal_hold_reason: Mapped[str | None] = mapped_column(BoundedText(300))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)

    def reschedule(self, now: datetime) -> None:
        """Schedule the next scan, spread over the period by the id of the domain."""
        period = PERIODS.get(self.schedule)
        share = (self.id.int & 0xFFFF) / 0x10000
        self.next_scan_at = None if period is None else now + period * share


class DomainState(Base):
    """The last results of a domain, read and written as a whole.

    last_results   the last definite result, by check
    undetermined   why the last scan could not determine a result, by check
    score          the last score; empty without one
    score_history  each score that differs from the previous one
    """

    __tablename__ = "domain_states"
    __table_args__ = (
        ForeignKeyConstraint(
            ["account_id", "domain_id"],
            ["domains.account_id", "domains.id"],
            ondelete="CASCADE",
        ),
    )

    domain_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column()
    last_results: Mapped[dict[str, StoredLastResult]] = mapped_column(Json, default=dict)
    undetermined: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    score: Mapped[StoredScore] = mapped_column(Json, default=dict)
    score_history: Mapped[list[StoredScorePoint]] = mapped_column(
        Json, default=list, server_default="[]"
    )
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)


class DkimKey(Base):
    """A DKIM key in the last definite result of a domain; ``key_sha256`` is hexadecimal."""

    SIZE: ClassVar = 64

    __tablename__ = "dkim_keys"
    __table_args__ = (
        ForeignKeyConstraint(
            ["account_id", "domain_id"],
            ["domains.account_id", "domains.id"],
            ondelete="CASCADE",
        ),
        Index(None, "account_id", "key_sha256"),
    )

    domain_id: Mapped[UUID] = mapped_column(primary_key=True)
    key_sha256: Mapped[str] = mapped_column(BoundedText(SIZE), primary_key=True)
    account_id: Mapped[UUID] = mapped_column()


class DnsChange(Base):
    """A record set that differs between two definite results.

    before, after      the sorted values; empty: no records
    findings_appeared  codes of the findings that appeared with the change; None: not determined
    findings_resolved  codes of the findings that cleared with the change; None: not determined
    root_appeared      the kind of root cause that appeared with the change
    root_resolved      the kind of root cause that was resolved with the change
    """

    __tablename__ = "dns_changes"
    __table_args__ = (
        ForeignKeyConstraint(
            ["account_id", "domain_id"],
            ["domains.account_id", "domains.id"],
            ondelete="CASCADE",
        ),
        Index(None, "domain_id", "id"),
        Index(None, "account_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column()
    domain_id: Mapped[UUID] = mapped_column()
    scan_id: Mapped[UUID] = mapped_column()
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    check: Mapped[str] = mapped_column(BoundedText(32))
    name: Mapped[str] = mapped_column(BoundedText(300))
    type: Mapped[str] = mapped_column(BoundedText(16))
    before: Mapped[list[str]] = mapped_column(Json)
    after: Mapped[list[str]] = mapped_column(Json)
    findings_appeared: Mapped[list[str] | None] = mapped_column(Json)
    findings_resolved: Mapped[list[str] | None] = mapped_column(Json)
    root_appeared: Mapped[str | None] = mapped_column(BoundedText(32))
    root_resolved: Mapped[str | None] = mapped_column(BoundedText(32))

"""Sources of mail: the decisions of users, and the hosts behind the addresses."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app import wall_clock
from app.db.types import Base, BoundedText, UtcDateTime

DECISIONS = ("approved", "ignored", "blocked")


class SourceDecision(Base):
    """A user's decision about a source of a domain.

    source  the key of the source (``analysis.mail.sources``)
    """

    __tablename__ = "source_decisions"
    __table_args__ = (
        CheckConstraint("decision IN ('approved', 'ignored', 'blocked')", name="decision"),
    )

    domain_id: Mapped[UUID] = mapped_column(
        ForeignKey("domains.id", ondelete="CASCADE"), primary_key=True
    )
    source: Mapped[str] = mapped_column(BoundedText(300), primary_key=True)
    decision: Mapped[str] = mapped_column(BoundedText(16))
    note: Mapped[str | None] = mapped_column(BoundedText(1000))
    actor: Mapped[str] = mapped_column(BoundedText(300))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)


class SenderHost(Base):
    """An address that sent mail. It belongs to no account, because the data is public.

    status          ``new``; ``confirmed``: the name resolves to the address; ``mismatch``: none of
                    its names does; ``none``: it has no name. A failed lookup changes nothing
    lookup_failure  why the last lookup failed; None if it succeeded
    asn, …          of the network, from GEOIP_DATABASE
    due_at          when the next lookup is due; the row is the job
    lease_until     when the lease of the worker expires
    failures        the number of consecutive failed lookups
    """

    __tablename__ = "sender_hosts"
    __table_args__ = (Index(None, "due_at"),)

    address: Mapped[str] = mapped_column(BoundedText(45), primary_key=True)
    status: Mapped[str] = mapped_column(BoundedText(10), default="new")
    name: Mapped[str | None] = mapped_column(BoundedText(253))
    lookup_failure: Mapped[str | None] = mapped_column(BoundedText(300))
    asn: Mapped[int | None] = mapped_column()
    network: Mapped[str | None] = mapped_column(BoundedText(300))
    country: Mapped[str | None] = mapped_column(BoundedText(2))
    looked_up_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failures: Mapped[int] = mapped_column(default=0)


class ReportMonitor(Base):
    """The next evaluation of the report rules of a domain; the row is the job.

    lease_until  when the lease of the worker expires
    """

    __tablename__ = "report_monitors"
    __table_args__ = (Index(None, "due_at"),)

    domain_id: Mapped[UUID] = mapped_column(
        ForeignKey("domains.id", ondelete="CASCADE"), primary_key=True
    )
    account_id: Mapped[UUID] = mapped_column()
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)

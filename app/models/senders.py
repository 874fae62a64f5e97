"""Who sends as a domain: what people say of a source, and what is known of an address."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.types import Base, UtcDateTime
from app.models.accounts import utc_now

DECISIONS = ("approved", "ignored", "blocked")


class SourceDecision(Base):
    """What a person has said of a source of one domain.

    source  its key: ``insight.sources``
    """

    __tablename__ = "source_decisions"
    __table_args__ = (
        CheckConstraint("decision IN ('approved', 'ignored', 'blocked')", name="decision"),
    )

    domain_id: Mapped[UUID] = mapped_column(
        ForeignKey("domains.id", ondelete="CASCADE"), primary_key=True
    )
    source: Mapped[str] = mapped_column(String(300), primary_key=True)
    decision: Mapped[str] = mapped_column(String(16))
    note: Mapped[str | None] = mapped_column(String(1000))
    actor: Mapped[str] = mapped_column(String(300))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)


class SenderHost(Base):
    """An address that mail came from: of no account, for it is public what is known of it.

    status       ``new``; ``confirmed``: the name leads back to the address; ``mismatch``: none of
                 its names does; ``none``: it has no name. What cannot be seen changes nothing
    unseen       why the last look failed, None if it did not
    asn, …       of the network, by GEOIP_DATABASE
    due_at       when it is looked at (again); the row is the job
    lease_until  until then a process works on it
    failures     looks in a row that failed
    """

    __tablename__ = "sender_hosts"
    __table_args__ = (Index(None, "due_at"),)

    address: Mapped[str] = mapped_column(String(45), primary_key=True)
    status: Mapped[str] = mapped_column(String(10), default="new")
    name: Mapped[str | None] = mapped_column(String(253))
    lookup_failure: Mapped[str | None] = mapped_column(String(300))
    asn: Mapped[int | None] = mapped_column()
    network: Mapped[str | None] = mapped_column(String(300))
    country: Mapped[str | None] = mapped_column(String(2))
    looked_up_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failures: Mapped[int] = mapped_column(default=0)


class ReportMonitor(Base):
    """When the alerts on a domain's reports are to be judged (again); the row is the job.

    lease_until  until then a process works on it
    """

    __tablename__ = "report_monitors"
    __table_args__ = (Index(None, "due_at"),)

    domain_id: Mapped[UUID] = mapped_column(
        ForeignKey("domains.id", ondelete="CASCADE"), primary_key=True
    )
    account_id: Mapped[UUID] = mapped_column()
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)

"""Rollups of aggregate reports, so that queries do not read every record.

Messages are counted by hour, as the number of hours since the epoch (``analysis.mail.periods``).
All rows follow from reports and records: ``services.rollups.rollups`` adds and subtracts the
counts of a report in the transaction that stores or deletes it.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.types import Base, BoundedText, Json, UtcDateTime
from app.models.stored_json import IdentityResult

Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite auto-increments INTEGER keys only


class DmarcHour(Base):
    """Messages of one hour with the same reporter, author's domain and result.

    trusted  whether the provenance of the report is better than unverified
    """

    __tablename__ = "dmarc_hours"

    domain_id: Mapped[UUID] = mapped_column(
        ForeignKey("domains.id", ondelete="CASCADE"), primary_key=True
    )
    hour: Mapped[int] = mapped_column(primary_key=True)
    reporter: Mapped[str] = mapped_column(BoundedText(253), primary_key=True)
    header_from: Mapped[str] = mapped_column(BoundedText(253), primary_key=True)
    disposition: Mapped[str] = mapped_column(BoundedText(16), primary_key=True)
    dkim: Mapped[bool] = mapped_column(primary_key=True)
    spf: Mapped[bool] = mapped_column(primary_key=True)
    trusted: Mapped[bool] = mapped_column(primary_key=True)
    messages: Mapped[int] = mapped_column(BigInteger)


class DomainMail(Base):
    """The messages of a domain in the last 30 days, for the list of domains.

    passed       those that passed DMARC
    version      of the weeks that were counted: the sum of ``DmarcWeek.version``
    computed_at  the counts are renewed after a change, and once a day
    """

    __tablename__ = "domain_mail"
    __table_args__ = (
        ForeignKeyConstraint(
            ["account_id", "domain_id"],
            ["domains.account_id", "domains.id"],
            ondelete="CASCADE",
        ),
        Index(None, "computed_at"),
    )

    domain_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column()
    messages: Mapped[int] = mapped_column(BigInteger)
    passed: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(BigInteger)
    computed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class DomainMailDay(Base):
    """The messages of a domain on a UTC day, counted with ``DomainMail``.

    day  the number of days since the epoch
    """

    __tablename__ = "domain_mail_days"
    __table_args__ = (
        ForeignKeyConstraint(
            ["account_id", "domain_id"],
            ["domains.account_id", "domains.id"],
            ondelete="CASCADE",
        ),
        # All columns that the overview reads, so that it reads no row of the table.
        Index("ix_domain_mail_days_account", "account_id", "day", "messages", "passed"),
    )

    domain_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    account_id: Mapped[UUID] = mapped_column()
    messages: Mapped[int] = mapped_column(BigInteger)
    passed: Mapped[int] = mapped_column(BigInteger)


class DmarcIdentity(Base):
    """The authentication results of mail of the domain (``analysis.mail`` has the same fields)."""

    __tablename__ = "dmarc_identities"
    __table_args__ = (UniqueConstraint("domain_id", "digest"),)

    id: Mapped[int] = mapped_column(Number, primary_key=True, autoincrement=True)
    domain_id: Mapped[UUID] = mapped_column(ForeignKey("domains.id", ondelete="CASCADE"))
    digest: Mapped[bytes] = mapped_column(LargeBinary(16))
    header_from: Mapped[str] = mapped_column(BoundedText(253))
    disposition: Mapped[str] = mapped_column(BoundedText(16))
    dkim: Mapped[bool] = mapped_column()
    spf: Mapped[bool] = mapped_column()
    trusted: Mapped[bool] = mapped_column()
    envelope_from: Mapped[str | None] = mapped_column(BoundedText(320))
    dkim_results: Mapped[list[IdentityResult]] = mapped_column(Json)
    spf_results: Mapped[list[IdentityResult]] = mapped_column(Json)
    reasons: Mapped[list[str]] = mapped_column(Json)


class DmarcFlow(Base):
    """An address that sent mail with an identity, with the first and the last hour.

    is_new  until the lookup of its address is scheduled
    """

    __tablename__ = "dmarc_flows"
    __table_args__ = (
        UniqueConstraint("domain_id", "source_ip", "identity_id"),
        Index(
            "ix_dmarc_flows_new",
            "id",
            sqlite_where=text("is_new"),
            postgresql_where=text("is_new"),
        ),
    )

    id: Mapped[int] = mapped_column(Number, primary_key=True, autoincrement=True)
    domain_id: Mapped[UUID] = mapped_column(ForeignKey("domains.id", ondelete="CASCADE"))
    identity_id: Mapped[int] = mapped_column(Number)
    source_ip: Mapped[str] = mapped_column(BoundedText(45))
    first_hour: Mapped[int] = mapped_column()
    last_hour: Mapped[int] = mapped_column()
    is_new: Mapped[bool] = mapped_column(default=True, server_default=true())


class DmarcWeek(Base):
    """A week that reports cover, by its first hour.

    is_compacted  whether counts of the entire week exist in addition to those of its hours
    version       grows with every change of its counts, so that cached results can be reused
    """

    __tablename__ = "dmarc_weeks"
    __table_args__ = (
        Index(
            "ix_dmarc_weeks_open",
            "start",
            sqlite_where=text("NOT is_compacted"),
            postgresql_where=text("NOT is_compacted"),
        ),
    )

    domain_id: Mapped[UUID] = mapped_column(
        ForeignKey("domains.id", ondelete="CASCADE"), primary_key=True
    )
    start: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    is_compacted: Mapped[bool] = mapped_column(default=False, server_default=false())
    version: Mapped[int] = mapped_column(default=0, server_default="0")


class FlowCount(Base):
    """Messages of a flow in the ``span`` hours from ``start``: an hour, or a compacted week."""

    __tablename__ = "dmarc_flow_counts"
    __table_args__ = (Index(None, "flow_id", "start"),)

    domain_id: Mapped[UUID] = mapped_column(
        ForeignKey("domains.id", ondelete="CASCADE"), primary_key=True
    )
    span: Mapped[int] = mapped_column(primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True)
    flow_id: Mapped[int] = mapped_column(Number, primary_key=True)
    messages: Mapped[int] = mapped_column(BigInteger)


class ReporterCount(Base):
    """Messages of an identity from a reporter in the ``span`` hours from ``start``."""

    __tablename__ = "dmarc_reporter_counts"

    domain_id: Mapped[UUID] = mapped_column(
        ForeignKey("domains.id", ondelete="CASCADE"), primary_key=True
    )
    span: Mapped[int] = mapped_column(primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True)
    reporter: Mapped[str] = mapped_column(BoundedText(253), primary_key=True)
    identity_id: Mapped[int] = mapped_column(Number, primary_key=True)
    messages: Mapped[int] = mapped_column(BigInteger)

"""Aggregate reports added up, so that a question costs what its answer has, not all records.

Messages are counted at full hours (``insight.periods``); an hour is a number, from the epoch. All
of it follows from reports and records: ``services.rollups`` adds and takes away what one report
says, in the transaction that stores or deletes it.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.types import Base, Json

Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only this type


class DmarcHour(Base):
    """Messages of one hour with the same reporter, author's domain and result.

    trusted  the report came by a way that strangers do not have
    """

    __tablename__ = "dmarc_hours"

    domain_id: Mapped[UUID] = mapped_column(
        ForeignKey("domains.id", ondelete="CASCADE"), primary_key=True
    )
    hour: Mapped[int] = mapped_column(primary_key=True)
    reporter: Mapped[str] = mapped_column(String(253), primary_key=True)
    header_from: Mapped[str] = mapped_column(String(253), primary_key=True)
    disposition: Mapped[str] = mapped_column(String(16), primary_key=True)
    dkim: Mapped[bool] = mapped_column(primary_key=True)
    spf: Mapped[bool] = mapped_column(primary_key=True)
    trusted: Mapped[bool] = mapped_column(primary_key=True)
    messages: Mapped[int] = mapped_column(BigInteger)


class DmarcIdentity(Base):
    """An ``insight.identities.Identity`` that mail of the domain had."""

    __tablename__ = "dmarc_identities"
    __table_args__ = (UniqueConstraint("domain_id", "digest"),)

    id: Mapped[int] = mapped_column(Number, primary_key=True, autoincrement=True)
    domain_id: Mapped[UUID] = mapped_column(ForeignKey("domains.id", ondelete="CASCADE"))
    digest: Mapped[bytes] = mapped_column(LargeBinary(16))
    header_from: Mapped[str] = mapped_column(String(253))
    disposition: Mapped[str] = mapped_column(String(16))
    dkim: Mapped[bool] = mapped_column()
    spf: Mapped[bool] = mapped_column()
    trusted: Mapped[bool] = mapped_column()
    envelope_from: Mapped[str | None] = mapped_column(String(320))
    dkim_results: Mapped[list[Any]] = mapped_column(Json)
    spf_results: Mapped[list[Any]] = mapped_column(Json)
    reasons: Mapped[list[str]] = mapped_column(Json)


class DmarcFlow(Base):
    """That an address sent mail with an identity, and the first and the last hour of it.

    is_new  until its address has been noted to be looked up
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
    source_ip: Mapped[str] = mapped_column(String(45))
    first_hour: Mapped[int] = mapped_column()
    last_hour: Mapped[int] = mapped_column()
    is_new: Mapped[bool] = mapped_column(default=True, server_default=true())


class DmarcWeek(Base):
    """A week that reports cover, by its first hour.

    is_compacted  there are sums of it, in rows of its span, in addition to those of its hours
    changes    how often something was counted in it: what was read stands until there are more
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
    """Messages of one flow in ``span`` hours from ``start`` on: in an hour, or in a closed week."""

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
    """Messages of one identity that one reporter reported, in ``span`` hours from ``start`` on."""

    __tablename__ = "dmarc_reporter_counts"

    domain_id: Mapped[UUID] = mapped_column(
        ForeignKey("domains.id", ondelete="CASCADE"), primary_key=True
    )
    span: Mapped[int] = mapped_column(primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True)
    reporter: Mapped[str] = mapped_column(String(253), primary_key=True)
    identity_id: Mapped[int] = mapped_column(Number, primary_key=True)
    messages: Mapped[int] = mapped_column(BigInteger)

"""TLS reports and their policies."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from app import ids
from app.db.types import Base, BoundedText, Json, UtcDateTime
from app.models.reports import partial_report_indexes
from app.models.stored_json import StoredTlsFailure


class TlsReport(Base):
    """A TLS report (RFC 8460 §4.4). Sessions may be in several policies: no sum over them here.

    skipped_count    the number of policies and failure details that could not be read; with any
                     the report is partial
    skipped_sessions  the sessions of these policies, as far as their numbers could be read
    skipped_failed_sessions  the sessions of these failure details, likewise; the sessions of their
                     policies include them
    skipped_reasons  the number of these policies and failure details by the code of the reason
    """

    __tablename__ = "tls_reports"
    __table_args__ = (
        ForeignKeyConstraint(
            ["account_id", "domain_id"], ["domains.account_id", "domains.id"], ondelete="CASCADE"
        ),
        UniqueConstraint("account_id", "domain_id", "reporter", "report_id", "begin_at", "end_at"),
        Index(None, "account_id", "id"),
        Index("ix_tls_reports_reporter", "account_id", "reporter", "id"),
        Index(None, "domain_id", "begin_at"),
        *partial_report_indexes("tls_reports"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column()
    domain_id: Mapped[UUID] = mapped_column()
    report_file_id: Mapped[UUID] = mapped_column()
    policy_domain: Mapped[str] = mapped_column(BoundedText(253))
    reporter: Mapped[str] = mapped_column(BoundedText(253))
    report_id: Mapped[str] = mapped_column(BoundedText(255))
    begin_at: Mapped[datetime] = mapped_column(UtcDateTime)
    end_at: Mapped[datetime] = mapped_column(UtcDateTime)
    organization: Mapped[str] = mapped_column(BoundedText(300))
    contact: Mapped[str | None] = mapped_column(BoundedText(1024))
    skipped_count: Mapped[int] = mapped_column(default=0, server_default="0")
    skipped_sessions: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    skipped_failed_sessions: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    skipped_reasons: Mapped[dict[str, int]] = mapped_column(Json, default=dict, server_default="{}")
    warnings: Mapped[list[str]] = mapped_column(Json, default=list)
    provenance: Mapped[str] = mapped_column(BoundedText(16))
    content_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)


class TlsPolicy(Base):
    """The sessions under one policy of a TLS report.

    policy_type  tlsa, sts, no-policy-found, or another value of the reporter
    failures     [{result_type, sessions, sending_ip, mx, mx_helo, receiving_ip, information,
                 reason_code}]; they need not add up to ``failed`` (RFC 8460 §4)
    """

    __tablename__ = "tls_policies"
    __table_args__ = (Index(None, "domain_id", "at"),)

    report_id: Mapped[UUID] = mapped_column(
        ForeignKey("tls_reports.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column()
    domain_id: Mapped[UUID] = mapped_column()
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    policy_type: Mapped[str] = mapped_column(BoundedText(32))
    policy_domain: Mapped[str] = mapped_column(BoundedText(253))
    policy_strings: Mapped[list[str]] = mapped_column(Json)
    mx_hosts: Mapped[list[str]] = mapped_column(Json)
    successful: Mapped[int] = mapped_column(BigInteger)
    failed: Mapped[int] = mapped_column(BigInteger)
    failures: Mapped[list[StoredTlsFailure]] = mapped_column(Json)

    @property
    def sessions(self) -> int:
        """The number of all sessions."""
        return self.successful + self.failed

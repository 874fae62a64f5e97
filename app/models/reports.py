"""Report files as received, and the aggregate and failure reports that they contained."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    UniqueConstraint,
    false,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app import ids, wall_clock
from app.db.types import Base, BoundedText, Json, UtcDateTime
from app.models.lifetimes import Revocable
from app.models.stored_json import (
    SenderMetadata,
    StoredDkimResult,
    StoredFailureDetails,
    StoredPolicy,
    StoredReason,
    StoredSpfResult,
)

RECEIVED = "received"
IS_FIRST_ATTEMPT = "status = 'received' AND lease_until IS NULL AND attempt = 0"
FINAL_STATUSES = ("parsed", "duplicate", "conflict", "unattributed", "rejected")
STATUSES = (RECEIVED, *FINAL_STATUSES)
# How a file was received: posted to the public address, with an upload token, by mail, …
RECEIVED_VIA = ("http", "upload", "mail", "mailbox", "cli", "dashboard")
MAX_ATTEMPTS = 3
VERIFIED, FAILED = "verified", "failed"  # authenticity of a mail
IMPORTED = "imported"  # provenance of a report in the output of another product
PROVENANCES = (
    "unverified",
    IMPORTED,
    "token",
    "authenticated",
)  # from the weakest to the strongest
TRUSTED = "trusted"  # in filters: any provenance but unverified


def partial_report_indexes(table: str) -> Iterator[Index]:
    """Yield the indexes of the reports with records that could not be read, which are few."""
    condition = text("skipped_count > 0")
    for name, columns in (
        ("partial", ("account_id", "domain_id", "begin_at")),
        ("partial_received", ("received_at",)),
    ):
        yield Index(
            f"ix_{table}_{name}", *columns, sqlite_where=condition, postgresql_where=condition
        )


def is_partial(skipped_count: Any) -> ColumnElement[bool]:
    """Return the condition for partial reports, in the form for which their indexes are used."""
    condition: ColumnElement[bool] = skipped_count > literal_column("0")
    return condition


class IngestToken(Revocable, Base):
    """A public report address of an account. It is published in DNS, so it proves nothing.

    token       the last part of the address, stored in clear text
    expires_at  a rotated token stays valid until then
    """

    __tablename__ = "ingest_tokens"
    __table_args__ = (Index(None, "account_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    token: Mapped[str] = mapped_column(BoundedText(32), unique=True)
    created_by: Mapped[str] = mapped_column(BoundedText(300))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)


class RawFile(Base):
    """The bytes of a file as they were received, once for each account."""

    __tablename__ = "raw_files"

    account_id: Mapped[UUID] = mapped_column(
        ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True
    )
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)


class ReportFile(Base):
    """A received file, or a further report that was in one.

    entry            the report of the file that the row is about: "" for the first or only one.
                     Each further report has its own row with the same ``sha256``
    status           ``received`` until processing ends in one of FINAL_STATUSES
    reason           the code of the reason why the file is rejected or unattributed
    sender_metadata  what the transport knew about the sender; ``provenance`` depends on it
    policy_domain    the domain that the report is about; None until the file is parsed
    report_id        the report that was stored, or the existing one that the file repeats or
                     contradicts
    reporter         the reporter that the report names
    envelope_from    the envelope sender: of the mail server, or else the Return-Path
    header_from, subject, attachment_name  of the email with the report; printable, and not proven
    author           the author domain of the mail, if it is proven or disproven
    authenticity     whether the reporter and the author domain match: VERIFIED or FAILED; None if
                     that is unknown
    is_preferred     a user chose its report over the one that it contradicts
    attempt, lease_until, enqueued_at, virtual_start  as with scans: the row is the job
    retried_at       when a retry was last requested
    """

    __tablename__ = "report_files"
    __table_args__ = (
        Index(None, "account_id", "id"),
        Index(None, "account_id", "status", "id"),
        Index("uq_report_files_file", "account_id", "sha256", "entry", unique=True),
        Index(None, "report_id"),
        Index(None, "received_at"),
        Index(
            "ix_report_files_received",
            "enqueued_at",
            sqlite_where=text("status = 'received'"),
            postgresql_where=text("status = 'received'"),
        ),
        Index(
            "ix_report_files_queue",
            "virtual_start",
            "id",
            sqlite_where=text(IS_FIRST_ATTEMPT),
            postgresql_where=text(IS_FIRST_ATTEMPT),
        ),
        Index(
            "ix_report_files_authenticity",
            "account_id",
            "authenticity",
            "reporter",
            "finished_at",
            sqlite_where=text("authenticity IS NOT NULL"),
            postgresql_where=text("authenticity IS NOT NULL"),
        ),
        CheckConstraint(
            "status IN ('received', 'parsed', 'duplicate', 'conflict', 'unattributed', 'rejected')",
            name="status",
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    received_via: Mapped[str] = mapped_column(BoundedText(16))
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    size_bytes: Mapped[int] = mapped_column()
    file_name: Mapped[str | None] = mapped_column(BoundedText(300))
    entry: Mapped[str] = mapped_column(BoundedText(300), default="")
    received_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    status: Mapped[str] = mapped_column(BoundedText(16), default=RECEIVED)
    reason: Mapped[str | None] = mapped_column(BoundedText(64))
    detail: Mapped[str | None] = mapped_column(BoundedText(500))
    provenance: Mapped[str] = mapped_column(BoundedText(16), default="unverified")
    sender_metadata: Mapped[SenderMetadata] = mapped_column(Json, default=dict)
    kind: Mapped[str | None] = mapped_column(BoundedText(16))
    policy_domain: Mapped[str | None] = mapped_column(BoundedText(253))
    report_id: Mapped[UUID | None] = mapped_column()
    reporter: Mapped[str | None] = mapped_column(BoundedText(253))
    envelope_from: Mapped[str | None] = mapped_column(BoundedText(320))
    header_from: Mapped[str | None] = mapped_column(BoundedText(320))
    subject: Mapped[str | None] = mapped_column(BoundedText(320))
    attachment_name: Mapped[str | None] = mapped_column(BoundedText(320))
    author: Mapped[str | None] = mapped_column(BoundedText(253))
    authenticity: Mapped[str | None] = mapped_column(BoundedText(16))
    is_preferred: Mapped[bool] = mapped_column(default=False, server_default=false())
    parser_version: Mapped[int | None] = mapped_column()
    virtual_start: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    attempt: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    enqueued_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    retried_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class DmarcReport(Base):
    """An aggregate report (RFC 9990, RFC 7489) about a verified domain or one below it.

    domain_id       the verified domain that it is filed under
    policy_domain   the domain that the report is about
    reporter        the domain of the reporter's address in lower case, or else its org_name
    policy          the published policy according to the reporter: p, sp, np, adkim, aspf, pct,
                    fo, testing, discovery_method
    days            the number of days that its counts are distributed over
    content_digest  of the parsed report, so that it does not depend on the file's compression
    messages, passed  sums of the records' counts; passed: DKIM or SPF passed in alignment
    skipped_count     the number of records that could not be read; with any the report is partial
    skipped_messages  the sum of their counts, as far as these could be read
    skipped_reasons   the number of these records by the code of the reason
    """

    __tablename__ = "dmarc_reports"
    __table_args__ = (
        ForeignKeyConstraint(
            ["account_id", "domain_id"], ["domains.account_id", "domains.id"], ondelete="CASCADE"
        ),
        UniqueConstraint(
            "account_id", "policy_domain", "reporter", "report_id", "begin_at", "end_at"
        ),
        Index(None, "account_id", "id"),
        Index("ix_dmarc_reports_reporter", "account_id", "reporter", "id"),
        Index(None, "domain_id", "begin_at"),
        *partial_report_indexes("dmarc_reports"),
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
    days: Mapped[int] = mapped_column(default=1)
    org_name: Mapped[str] = mapped_column(BoundedText(300))
    email: Mapped[str] = mapped_column(BoundedText(320))
    contact: Mapped[str | None] = mapped_column(BoundedText(1024))
    generator: Mapped[str | None] = mapped_column(BoundedText(300))
    namespace: Mapped[str | None] = mapped_column(BoundedText(100))
    version: Mapped[str | None] = mapped_column(BoundedText(20))
    policy: Mapped[StoredPolicy] = mapped_column(Json)
    record_count: Mapped[int] = mapped_column()
    messages: Mapped[int] = mapped_column(BigInteger)
    passed: Mapped[int] = mapped_column(BigInteger)
    skipped_count: Mapped[int] = mapped_column(default=0, server_default="0")
    skipped_messages: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    skipped_reasons: Mapped[dict[str, int]] = mapped_column(Json, default=dict, server_default="{}")
    warnings: Mapped[list[str]] = mapped_column(Json, default=list)
    provenance: Mapped[str] = mapped_column(BoundedText(16))
    content_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)


class DmarcRecord(Base):
    """A row of an aggregate report: a number of messages from one address with the same result.

    at           the middle of the report's period; its messages are counted at this time
    dkim, spf    passed in alignment, as the receiver evaluated it
    reasons      [{type, comment}]; dkim_results [{domain, selector, result}];
    spf_results  [{domain, scope, result}]: raw results, which prove nothing about alignment
    """

    __tablename__ = "dmarc_records"
    __table_args__ = (
        Index(None, "domain_id", "at"),
        Index(None, "account_id", "source_ip"),
    )

    report_id: Mapped[UUID] = mapped_column(
        ForeignKey("dmarc_reports.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column()
    domain_id: Mapped[UUID] = mapped_column()
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    source_ip: Mapped[str] = mapped_column(BoundedText(45))
    count: Mapped[int] = mapped_column(BigInteger)
    disposition: Mapped[str] = mapped_column(BoundedText(16))
    dkim: Mapped[bool] = mapped_column()
    spf: Mapped[bool] = mapped_column()
    header_from: Mapped[str] = mapped_column(BoundedText(253))
    envelope_from: Mapped[str | None] = mapped_column(BoundedText(320))
    envelope_to: Mapped[str | None] = mapped_column(BoundedText(253))
    reasons: Mapped[list[StoredReason] | None] = mapped_column(Json)
    dkim_results: Mapped[list[StoredDkimResult] | None] = mapped_column(Json)
    spf_results: Mapped[list[StoredSpfResult] | None] = mapped_column(Json)


class RollupQueueEntry(Base):
    """An aggregate report that is not yet included in the rollups of its domain.

    failed  its rollup failed; it is skipped until an operator resets this
    """

    __tablename__ = "rollup_queue"

    report_id: Mapped[UUID] = mapped_column(
        ForeignKey("dmarc_reports.id", ondelete="CASCADE"), primary_key=True
    )
    domain_id: Mapped[UUID] = mapped_column(index=True)
    records: Mapped[int] = mapped_column()
    failed: Mapped[bool] = mapped_column(default=False, server_default=false())


class FailureReport(Base):
    """A failure report (RFC 9991, RFC 6591) without private data: no body, no local part.

    sender, recipient  ``<hash>@domain``: the same address has the same hash within an account
    """

    __tablename__ = "failure_reports"
    __table_args__ = (
        ForeignKeyConstraint(
            ["account_id", "domain_id"], ["domains.account_id", "domains.id"], ondelete="CASCADE"
        ),
        UniqueConstraint("account_id", "content_digest"),
        Index(None, "account_id", "id"),
        Index("ix_failure_reports_reporter", "account_id", "reporter", "id"),
        Index(None, "received_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column()
    domain_id: Mapped[UUID] = mapped_column()
    report_file_id: Mapped[UUID] = mapped_column()
    reporter: Mapped[str | None] = mapped_column(BoundedText(253))
    reported_domain: Mapped[str] = mapped_column(BoundedText(253))
    auth_failure: Mapped[list[str]] = mapped_column(Json)
    identity_alignment: Mapped[list[str]] = mapped_column(Json)
    delivery_result: Mapped[str | None] = mapped_column(BoundedText(64))
    source_ip: Mapped[str | None] = mapped_column(BoundedText(45))
    arrived_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    incidents: Mapped[int] = mapped_column(default=1)
    sender: Mapped[str | None] = mapped_column(BoundedText(320))
    recipient: Mapped[str | None] = mapped_column(BoundedText(320))
    dkim_domain: Mapped[str | None] = mapped_column(BoundedText(253))
    dkim_selector: Mapped[str | None] = mapped_column(BoundedText(253))
    details: Mapped[StoredFailureDetails] = mapped_column(Json, default=dict)
    provenance: Mapped[str] = mapped_column(BoundedText(16))
    content_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ObservedSelector(Base):
    """A selector of the domain, or of one below it, whose signature passed in a report."""

    __tablename__ = "observed_selectors"
    __table_args__ = (
        ForeignKeyConstraint(
            ["account_id", "domain_id"], ["domains.account_id", "domains.id"], ondelete="CASCADE"
        ),
    )

    domain_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(BoundedText(253), primary_key=True)
    selector: Mapped[str] = mapped_column(BoundedText(190), primary_key=True)
    account_id: Mapped[UUID] = mapped_column()
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime)


class DailyIngestUsage(Base):
    """How much of an account's files was received and parsed on one day (UTC), for its budgets.

    bytes            as received, before anything is unwrapped
    unknown_source_files, unknown_source_bytes  what unknown sources sent of them
    cpu_ms           CPU time that parsing them took
    """

    __tablename__ = "daily_ingest_usage"

    account_id: Mapped[UUID] = mapped_column(
        ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True
    )
    day: Mapped[date] = mapped_column(primary_key=True)
    files: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    unknown_source_files: Mapped[int] = mapped_column(default=0, server_default="0")
    unknown_source_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    cpu_ms: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")

"""Mailboxes that are polled for reports."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from app import ids
from app.db.types import Base, Json, UtcDateTime
from app.models.accounts import utc_now


class ReportMailbox(Base):
    """A folder of an IMAP mailbox whose mails are an account's reports.

    password        encrypted
    security        ``tls`` from the beginning, or ``starttls``
    ca_certificates the certificate authorities of the server (PEM); None for those of this machine
    is_private      whether the server may have an address that is not public; only operators set it
    done_folder     the folder that imported mails are moved to; without one they are marked as seen
    only_unread     whether read mails are left alone; always so without ``done_folder``
    authserv_id     the name that the receiving server uses in Authentication-Results; None if that
                    field is not trusted in this mailbox
    next_at         when the next poll is due; during a poll, when its lease expires
    paused_at       when the mailbox was paused; it is not polled until it is resumed
    failure         why the last poll failed; None if it succeeded
    failing_since   when the first of the consecutive failed polls began
    imported_count  the number of mails that were imported
    succeeded_at    when the last poll succeeded
    too_large       the number of mails that are skipped because of their size
    read_count      the number of read mails that the last poll left alone, including imported ones
    skipped         mails that could not be imported, by their names, with the reason
    """

    __tablename__ = "report_mailboxes"
    __table_args__ = (
        UniqueConstraint("account_id", "host", "username", "folder"),
        Index(None, "next_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    host: Mapped[str] = mapped_column(String(253))
    port: Mapped[int] = mapped_column()
    username: Mapped[str] = mapped_column(String(320))
    password: Mapped[str] = mapped_column(String(2000))
    folder: Mapped[str] = mapped_column(String(200))
    done_folder: Mapped[str | None] = mapped_column(String(200))
    security: Mapped[str] = mapped_column(String(10), default="tls", server_default="tls")
    ca_certificates: Mapped[str | None] = mapped_column(String(20_000))
    is_private: Mapped[bool] = mapped_column(default=False, server_default=false())
    only_unread: Mapped[bool] = mapped_column(default=False, server_default=false())
    authserv_id: Mapped[str | None] = mapped_column(String(253))
    created_by: Mapped[str] = mapped_column(String(300))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    polled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    succeeded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failure: Mapped[str | None] = mapped_column(String(300))
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    imported_count: Mapped[int] = mapped_column(default=0)
    too_large: Mapped[int] = mapped_column(default=0)
    read_count: Mapped[int | None] = mapped_column()
    skipped: Mapped[dict[str, str] | None] = mapped_column(Json)

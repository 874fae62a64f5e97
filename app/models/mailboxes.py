"""Mailboxes that are polled for reports."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, false
from sqlalchemy.orm import Mapped, mapped_column

from app import ids, wall_clock
from app.db.types import Base, BoundedText, Json, PlainText, UtcDateTime


class ReportMailbox(Base):
    """A mailbox whose messages are an account's reports.

    type            the name in ``app.mailboxes.registry.MAILBOX_TYPES``
    options         the options of the type that are not secret
    secrets_encrypted
                    the JSON of the secret options; before 0.2.0, the password alone
    token_encrypted the JSON of the current OAuth 2.0 access token
    is_private      whether the server may have an address that is not public; only operators set it
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
        Index(None, "next_at"),
        Index(None, "account_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    type: Mapped[str] = mapped_column(BoundedText(20), default="imap", server_default="imap")
    options: Mapped[dict[str, Any]] = mapped_column(Json)
    secrets_encrypted: Mapped[str] = mapped_column(PlainText)
    token_encrypted: Mapped[str | None] = mapped_column(PlainText)
    is_private: Mapped[bool] = mapped_column(default=False, server_default=false())
    authserv_id: Mapped[str | None] = mapped_column(BoundedText(253))
    created_by: Mapped[str] = mapped_column(BoundedText(300))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    polled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    succeeded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failure: Mapped[str | None] = mapped_column(BoundedText(300))
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    imported_count: Mapped[int] = mapped_column(default=0)
    too_large: Mapped[int] = mapped_column(default=0)
    read_count: Mapped[int | None] = mapped_column()
    skipped: Mapped[dict[str, str] | None] = mapped_column(Json)


class MailboxMessage(Base):
    """A message that was imported, so that it is not imported again while it is listed.

    key_digest  SHA-256 of the key of the message
    """

    __tablename__ = "mailbox_messages"

    mailbox_id: Mapped[UUID] = mapped_column(
        ForeignKey("report_mailboxes.id", ondelete="CASCADE"), primary_key=True
    )
    key_digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)

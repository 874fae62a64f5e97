"""Emails that the service sends to people: invitations, confirmations and security notices."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app import ids, wall_clock
from app.db.types import Base, BoundedText, PlainText, UtcDateTime


class Email(Base):
    """One email to one person.

    status           ``skipped``: no mail server was configured when it was enqueued
    body             encrypted, and empty once the email is no longer queued: bodies hold links
    extras           encrypted JSON of the HTML and the unsubscribe URL; empty as ``body`` is
    next_attempt_at  when a worker may try next; None once the email is no longer queued
    finished_at      when it was sent, failed or skipped
    """

    __tablename__ = "emails"
    __table_args__ = (
        CheckConstraint("status IN ('queued', 'sent', 'failed', 'skipped')", name="status"),
        Index(None, "next_attempt_at"),
        Index(None, "finished_at"),
        Index(None, "account_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    recipient: Mapped[str] = mapped_column(BoundedText(320))
    kind: Mapped[str] = mapped_column(BoundedText(40))
    subject: Mapped[str] = mapped_column(BoundedText(200))
    body: Mapped[str] = mapped_column(PlainText)
    extras: Mapped[str] = mapped_column(PlainText, default="", server_default="")
    status: Mapped[str] = mapped_column(BoundedText(16), default="queued")
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(BoundedText(300))

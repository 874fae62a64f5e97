"""The senders of an account's files, with their usage of today."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.db.types import Base, BoundedText, UtcDateTime


class IngestSource(Base):
    """A sender of files to one account: an IPv4 address, an IPv6 /64, or a domain.

    day, files, bytes  the files and bytes of the last day (UTC) with any
    authenticated_at   when its last report with a verified reporter was received
    """

    __tablename__ = "ingest_sources"
    __table_args__ = (Index(None, "day"),)

    account_id: Mapped[UUID] = mapped_column(
        ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True
    )
    source: Mapped[str] = mapped_column(BoundedText(253), primary_key=True)
    day: Mapped[date] = mapped_column()
    files: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    authenticated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

"""The log of what was stored: the order in which records are exported and forwarded."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app import wall_clock
from app.db.types import Base, BoundedText, UtcDateTime

_Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite auto-increments INTEGER keys only


class RecordLogEntry(Base):
    """A report, a scan or an event of an alert, written in the transaction that stores it.

    number    the order of writing
    sequence  the number within the account, assigned after the commit (``record_log.number``)
    kind      what ``row_id`` identifies: see ``record_log.EntryKind``
    domain_id  None for events of alerts, which outlive the domain
    size      the number of records in it; an estimate for rows of releases before the log
    """

    __tablename__ = "record_log"
    __table_args__ = (
        ForeignKeyConstraint(
            ["account_id", "domain_id"], ["domains.account_id", "domains.id"], ondelete="CASCADE"
        ),
        UniqueConstraint("account_id", "sequence"),
        Index(
            "ix_record_log_unnumbered",
            "account_id",
            "number",
            sqlite_where=text("sequence IS NULL"),
            postgresql_where=text("sequence IS NULL"),
        ),
        Index(None, "domain_id"),
        Index(None, "at"),
    )

    number: Mapped[int] = mapped_column(_Number, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    domain_id: Mapped[UUID | None] = mapped_column()
    sequence: Mapped[int | None] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(BoundedText(16))
    row_id: Mapped[UUID] = mapped_column()
    size: Mapped[int] = mapped_column(default=1)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)

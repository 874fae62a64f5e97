"""The positions of accounts in the queues of scans and report files."""

from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.db.types import Base, BoundedText


class QueueAccount(Base):
    """The last virtual start time that was assigned to an account in a queue.

    queue  the name of a ``scheduling.FairQueue``
    """

    __tablename__ = "queue_accounts"
    __table_args__ = (Index("ix_queue_accounts_last", "queue", "last"),)

    account_id: Mapped[UUID] = mapped_column(
        ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True
    )
    queue: Mapped[str] = mapped_column(BoundedText(16), primary_key=True)
    last: Mapped[int] = mapped_column(BigInteger)

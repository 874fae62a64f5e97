"""Counts of refusals by hour, which limit the entries of refusals in the audit log."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from app.db.types import Base, UtcDateTime


class RefusalCount(Base):
    """One kind of refusal of an account in one hour (UTC).

    key  SHA-256 of the actor, the action, the reason and the client's network
    """

    __tablename__ = "refusal_counts"

    account_id: Mapped[UUID] = mapped_column(
        ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True
    )
    hour: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    key: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    count: Mapped[int] = mapped_column(default=0)

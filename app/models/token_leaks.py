"""API keys and upload tokens that were leaked in public."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app import ids, wall_clock
from app.db.types import Base, BoundedText, UtcDateTime


class TokenLeak(Base):
    """One leaked token; only its first report is stored, since that revokes it.

    token        the public part with its prefix, ``mp_`` or ``mu_`` and 12 characters
    url          where it was published according to the reporter; not verified
    reported_by  ``secret_scanning`` or ``person``
    """

    __tablename__ = "token_leaks"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(
        ForeignKey("accounts.id", ondelete="CASCADE"), index=True
    )
    token: Mapped[str] = mapped_column(BoundedText(20), unique=True)
    name: Mapped[str] = mapped_column(BoundedText(100))
    url: Mapped[str | None] = mapped_column(BoundedText(1000))
    reported_by: Mapped[str] = mapped_column(BoundedText(20))
    reported_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)

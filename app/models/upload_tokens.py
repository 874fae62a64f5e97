"""Secret tokens that prove that an uploaded report comes from the account itself."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from app import ids, wall_clock
from app.db.types import Base, BoundedText, UtcDateTime
from app.models.lifetimes import Revocable


class UploadToken(Revocable, Base):
    """One upload token. The token itself is not stored: ``digest`` is its HMAC-SHA-256.

    token_id  the public part, 12 characters
    """

    __tablename__ = "upload_tokens"
    __table_args__ = (Index(None, "account_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    token_id: Mapped[str] = mapped_column(BoundedText(12), unique=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    name: Mapped[str] = mapped_column(BoundedText(100))
    created_by: Mapped[str] = mapped_column(BoundedText(300))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

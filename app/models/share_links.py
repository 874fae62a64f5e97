"""Links that show the checks of a domain without signing in."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from app import ids, wall_clock
from app.db.types import Base, BoundedText, UtcDateTime


class ShareLink(Base):
    """A link to the checks of a domain. ``digest``: SHA-256 of its token.

    check       the only check that it shows; None: all
    revoked_at  it does not open since then; None: it was not revoked
    """

    __tablename__ = "share_links"
    __table_args__ = (
        ForeignKeyConstraint(
            ["account_id", "domain_id"],
            ["domains.account_id", "domains.id"],
            ondelete="CASCADE",
        ),
        Index(None, "digest", unique=True),
        Index(None, "domain_id"),
        Index(None, "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column()
    domain_id: Mapped[UUID] = mapped_column()
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    check: Mapped[str | None] = mapped_column(BoundedText(32))
    created_by: Mapped[str] = mapped_column(BoundedText(300))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

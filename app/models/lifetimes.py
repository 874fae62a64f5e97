"""Columns and states that API keys, upload tokens and report addresses share."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from app.db.types import UtcDateTime


class Revocable:
    """A row that is usable until it expires or is revoked.

    expires_at  it is refused from then on; None: it does not expire
    """

    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    def is_usable(self, now: datetime) -> bool:
        """Return whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def status(self, now: datetime) -> str:
        """Return ``active``, ``revoked`` or ``expired``."""
        if self.revoked_at is not None:
            return "revoked"
        return "active" if self.is_usable(now) else "expired"

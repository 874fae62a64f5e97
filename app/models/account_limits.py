"""Limits of single accounts, set by an operator."""

from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.db.types import Base, BoundedText


class AccountLimits(Base):
    """The limits of one account that differ from the settings; None: the setting applies.

    rate_limit              API requests of all keys together, like ``1000 per minute``
    max_api_keys            keys that are neither revoked nor expired
    concurrent_evaluations  calls of ``checks/evaluate`` at the same time
    concurrent_exports      files of lists at the same time
    """

    __tablename__ = "account_limits"

    account_id: Mapped[UUID] = mapped_column(
        ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True
    )
    rate_limit: Mapped[str | None] = mapped_column(BoundedText(100))
    max_api_keys: Mapped[int | None] = mapped_column()
    concurrent_evaluations: Mapped[int | None] = mapped_column()
    concurrent_exports: Mapped[int | None] = mapped_column()

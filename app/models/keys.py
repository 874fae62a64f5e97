"""API keys, their usage, and requests with an Idempotency-Key."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from app import ids, wall_clock
from app.db.types import Base, BoundedText, Json, UtcDateTime
from app.models.lifetimes import Revocable


class Scope(StrEnum):
    """A permission of an API key. No scope implies another."""

    DOMAINS_READ = "domains:read"
    DOMAINS_WRITE = "domains:write"
    REPORTS_READ = "reports:read"
    ALERTS_READ = "alerts:read"
    ALERTS_WRITE = "alerts:write"
    SCANS_TRIGGER = "scans:trigger"


class ApiKey(Revocable, Base):
    """One key. The key itself is not stored: ``digest`` is its HMAC-SHA-256.

    key_id      the public part, 12 characters
    rate_limit  like ``100 per minute``; None: the limit of the settings
    expires_at  for a rotated key, the end of its grace period
    """

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "account_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    key_id: Mapped[str] = mapped_column(BoundedText(12), unique=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    name: Mapped[str] = mapped_column(BoundedText(100))
    scopes: Mapped[list[str]] = mapped_column(Json)
    allow_cidrs: Mapped[list[str]] = mapped_column(Json, default=list)
    rate_limit: Mapped[str | None] = mapped_column(BoundedText(40))
    created_by: Mapped[str] = mapped_column(BoundedText(300))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    revoked_reason: Mapped[str | None] = mapped_column(BoundedText(200))
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_address: Mapped[str | None] = mapped_column(BoundedText(45))
    rotated_from: Mapped[UUID | None] = mapped_column(ForeignKey("api_keys.id"))


class ApiKeyUsage(Base):
    """The number of requests of a key by day (UTC), route and status."""

    __tablename__ = "api_key_usage"

    api_key_id: Mapped[UUID] = mapped_column(
        ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True
    )
    day: Mapped[date] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(BoundedText(120), primary_key=True)
    status: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(default=0)


class ApiKeyAddress(Base):
    """The number of requests of a key by day (UTC) and client address."""

    __tablename__ = "api_key_addresses"

    api_key_id: Mapped[UUID] = mapped_column(
        ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True
    )
    day: Mapped[date] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(BoundedText(45), primary_key=True)
    count: Mapped[int] = mapped_column(default=0)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)


class IdempotentCall(Base):
    """A POST request with an Idempotency-Key, and its response.

    status  None while it runs
    """

    __tablename__ = "idempotent_calls"
    __table_args__ = (Index(None, "created_at"),)

    api_key_id: Mapped[UUID] = mapped_column(
        ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True
    )
    route: Mapped[str] = mapped_column(BoundedText(300), primary_key=True)
    key: Mapped[str] = mapped_column(BoundedText(255), primary_key=True)
    request_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    status: Mapped[int | None] = mapped_column()
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    location: Mapped[str | None] = mapped_column(BoundedText(300))

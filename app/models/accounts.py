"""Accounts, the people in them, and the log of what was done."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app import ids
from app.db import Base, Json, UtcDateTime

ROLES = ("owner", "admin", "member", "viewer")


def utc_now() -> datetime:
    """The default of ``…_at`` columns: the moment a row is made."""
    return datetime.now(UTC)


class Account(Base):
    """Whose domains, keys, scans and alerts they are. Nothing is shared between two.

    last_sequence  the number of its last event that others can see
    """

    __tablename__ = "accounts"
    __table_args__ = (CheckConstraint("status IN ('active', 'suspended')", name="status"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    status: Mapped[str] = mapped_column(String(16), default="active")
    last_sequence: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)


class User(Base):
    """A person who signs in. ``email`` is in lower case; ``password_hash`` is argon2id."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16), default="member")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)


class SignedIn(Base):
    """A browser that somebody has signed in with; without the row its cookie is worth nothing.

    id          SHA-256 of the token in the cookie, so that a stolen table opens no door
    expires_at  the end, however busy it is
    """

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "user_id"), Index(None, "expires_at"))

    id: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AuditEvent(Base):
    """One act, written in the transaction of the act; never changed.

    actor   ``key:<key id>``, ``user:<e-mail>`` or ``system``
    target  what it was done to, as its public id
    """

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "account_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    actor: Mapped[str] = mapped_column(String(300))
    action: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(300))
    details: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)

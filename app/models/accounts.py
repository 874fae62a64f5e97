"""Accounts, their users and sessions, and the audit log."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from app import ids, wall_clock
from app.db.types import Base, BoundedText, Json, PlainText, UtcDateTime, WordList
from app.models.stored_json import AuditDetails

ROLES = ("owner", "admin", "member", "viewer")


class Account(Base):
    """The owner of domains, keys, scans and alerts; accounts share no data.

    last_sequence  the number of the last event that readers can see
    last_record_sequence  the number of the last entry of the record log that readers can see
    followed_profiles  the ids of compliance profiles whose loss opens an alert
    deletion_requested_at  the account is suspended, and the clock process deletes it
    """

    __tablename__ = "accounts"
    __table_args__ = (CheckConstraint("status IN ('active', 'suspended')", name="status"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    name: Mapped[str] = mapped_column(BoundedText(100), unique=True)
    status: Mapped[str] = mapped_column(BoundedText(16), default="active")
    last_sequence: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    last_record_sequence: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    followed_profiles: Mapped[Sequence[str]] = mapped_column(
        WordList, default=list, server_default=","
    )
    deletion_requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)


class User(Base):
    """A person who signs in. ``email`` is in lower case; ``password_hash`` is argon2id.

    totp_secret  encrypted; None: two-factor authentication is off
    totp_step    the time step of the last accepted code; it and earlier ones are not valid again
    disabled_at  the user cannot sign in since then; None: the user can
    hides_first_steps  the user has hidden the first steps on the overview
    time_zone    the IANA zone in which pages show times; None: that of the browser
    """

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    email: Mapped[str] = mapped_column(BoundedText(254), unique=True)
    password_hash: Mapped[str] = mapped_column(BoundedText(200))
    role: Mapped[str] = mapped_column(BoundedText(16), default="member")
    totp_secret: Mapped[str | None] = mapped_column(BoundedText(200))
    totp_step: Mapped[int | None] = mapped_column(BigInteger)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    hides_first_steps: Mapped[bool] = mapped_column(default=False, server_default=false())
    time_zone: Mapped[str | None] = mapped_column(BoundedText(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)


class RecoveryCode(Base):
    """A code that replaces one of the authenticator app, once. ``digest``: its SHA-256."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Invitation(Base):
    """A link with which a person joins an account, once. ``digest``: SHA-256 of its token.

    inviter_id  the user who created it; the invitation is deleted with that user
    is_emailed  the link was sent to ``email`` only, so it proves access to that mailbox
    """

    __tablename__ = "invitations"
    __table_args__ = (
        UniqueConstraint("account_id", "email"),
        Index(None, "digest", unique=True),
        Index(None, "inviter_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    email: Mapped[str] = mapped_column(BoundedText(254))
    role: Mapped[str] = mapped_column(BoundedText(16))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    invited_by: Mapped[str] = mapped_column(BoundedText(300))
    inviter_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    is_emailed: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class BrowserSession(Base):
    """A browser session of a user; without the row its cookie is invalid.

    id           SHA-256 of the token in the cookie, so that a stolen table contains no token
    expires_at   the session ends then, even if it is in use
    mfa_pending  the password was correct and the second factor is still required
    agent        the User-Agent header
    """

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "user_id"), Index(None, "expires_at"))

    id: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    mfa_pending: Mapped[bool] = mapped_column(default=False)
    address: Mapped[str | None] = mapped_column(BoundedText(45))
    agent: Mapped[str | None] = mapped_column(BoundedText(200))


class FormResult(Base):
    """The result of a submitted form, for the page that the form redirects to.

    id              the same when the same form is submitted again
    text_encrypted  None while the form is processed, and after a secret was shown
    shown_at        the secret was shown then, and is not shown again
    """

    __tablename__ = "form_results"
    __table_args__ = (Index(None, "expires_at"),)

    session_id: Mapped[bytes] = mapped_column(
        ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True
    )
    id: Mapped[str] = mapped_column(BoundedText(64), primary_key=True)
    kind: Mapped[str] = mapped_column(BoundedText(40))
    text_encrypted: Mapped[str | None] = mapped_column(PlainText)
    shown_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class StoredFormDraft(Base):
    """What a user entered into a form whose session had ended, until they have signed in again."""

    __tablename__ = "form_drafts"
    __table_args__ = (Index(None, "user_id"), Index(None, "expires_at"))

    id: Mapped[str] = mapped_column(BoundedText(32), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    text_encrypted: Mapped[str] = mapped_column(PlainText)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PasswordReset(Base):
    """A request for a new password, and the link that was sent for it.

    email    as entered, until a worker has looked it up; None once the link is sent
    digest   SHA-256 of the token of the link; None until it is sent
    address  of the client that requested it
    """

    __tablename__ = "password_resets"
    __table_args__ = (
        Index(None, "digest", unique=True),
        Index(None, "user_id"),
        Index(None, "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    email: Mapped[str | None] = mapped_column(BoundedText(254))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    address: Mapped[str | None] = mapped_column(BoundedText(45))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SavedView(Base):
    """The filters and the order of a list, with the name that its user gave them."""

    __tablename__ = "saved_views"
    __table_args__ = (UniqueConstraint("user_id", "page", "name"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    page: Mapped[str] = mapped_column(BoundedText(16))
    name: Mapped[str] = mapped_column(BoundedText(60))
    filters: Mapped[dict[str, str]] = mapped_column(Json)


class SignInNetwork(Base):
    """A network that a person has signed in from, like ``192.0.2.0/24``."""

    __tablename__ = "sign_in_networks"
    __table_args__ = (Index(None, "last_seen_at"),)

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    network: Mapped[str] = mapped_column(BoundedText(45), primary_key=True)
    first_seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AuditEvent(Base):
    """One action, stored in its transaction; a trigger rejects changes.

    actor                ``key:<key id>``, ``user:<email>`` or ``system``
    target               the public id of the object
    address, request_id  those of the request; None without one
    """

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "account_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    actor: Mapped[str] = mapped_column(BoundedText(300))
    action: Mapped[str] = mapped_column(BoundedText(64))
    target: Mapped[str] = mapped_column(BoundedText(300))
    details: Mapped[AuditDetails] = mapped_column(Json, default=dict)
    address: Mapped[str | None] = mapped_column(BoundedText(45))
    request_id: Mapped[str | None] = mapped_column(BoundedText(64))

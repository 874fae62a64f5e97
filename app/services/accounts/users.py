"""People as operators manage them: listed, disabled, given a new password, deleted."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import transactions
from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.models import Account, ApiKey, User
from app.services.accounts import accounts, invitations, passwords, people_erasure, sessions
from app.services.core import audit_log, security_emails

PASSWORD_BYTES = 15
PASSWORD_RESET = "Your password was reset"


@dataclass(frozen=True, slots=True)
class Person:
    """A user with the name of the account."""

    id: UUID
    email: str
    role: str
    account_name: str
    has_two_factor: bool
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Disabled:
    """What disabling a person ended, and the usable API keys that the person made."""

    sessions: int
    api_keys: int


def search(account: str | None = None) -> Sequence[Person]:
    """The users of an account (by name or id), or of all accounts, by account and address.

    raises  NotFound
    """
    statement = (
        select(User, Account.name)
        .join(Account, Account.id == User.account_id)
        .order_by(Account.name, User.email)
    )
    with transaction(readonly=True) as session:
        if account is not None:
            statement = statement.where(Account.id == accounts.named(session, account).id)
        rows = session.execute(statement).all()
    return [
        Person(
            id=user.id,
            email=user.email,
            role=user.role,
            account_name=name,
            has_two_factor=user.totp_secret is not None,
            created_at=user.created_at,
            disabled_at=user.disabled_at,
        )
        for user, name in rows
    ]


def disable(email: str, *, actor: str) -> Disabled:
    """Refuse the person's sign-ins from now on, and end the person's sessions.

    raises  NotFound
    """
    with transaction() as session:
        user = _find(session, email)
        user.disabled_at = user.disabled_at or transactions.now(session)
        ended = sessions.end_every(session, user.id)
        invitations.revoke_of(session, user.id)
        _record(session, user, actor, "user.disabled")
        return Disabled(ended, _api_keys(session, user))


def enable(email: str, *, actor: str) -> None:
    """Undo ``disable``; the password and the second factor are what they were.

    raises  NotFound
    """
    with transaction() as session:
        user = _find(session, email)
        user.disabled_at = None
        _record(session, user, actor, "user.enabled")


def reset_password(email: str, password: str | None = None, *, actor: str) -> str:
    """The person's new password, generated unless it is given; all sessions end.

    raises  NotFound; InvalidRequest for a password that is too weak
    """
    password = password or secrets.token_urlsafe(PASSWORD_BYTES)
    with transaction() as session:
        user = _find(session, email)
        if errors := passwords.validation_errors(password, user.email):
            raise InvalidRequest(errors)
        user.password_hash = passwords.digest(password)
        sessions.end_every(session, user.id)
        security_emails.credentials_changed(session, user, PASSWORD_RESET, actor)
        _record(session, user, actor, "user.password_reset")
    return password


def delete(email: str, *, actor: str) -> None:
    """Delete the person, and the address everywhere but in the audit log.

    raises  NotFound; Conflict if no owner would be left
    """
    with transaction() as session:
        user = _find(session, email)
        owners = select(func.count()).where(
            User.account_id == user.account_id, User.role == "owner", User.id != user.id
        )
        if user.role == "owner" and not session.scalar(owners):
            raise Conflict(f"{user.email} is the account's only owner. Make someone else an owner.")
        sessions.end_every(session, user.id)
        invitations.revoke_of(session, user.id)
        people_erasure.erase(session, user)
        security_emails.person_removed(session, user, actor)
        session.delete(user)
        _record(session, user, actor, "user.removed")


def _find(session: Session, email: str) -> User:
    user = session.scalar(select(User).where(User.email == email.strip().lower()).with_for_update())
    if user is None:
        raise NotFound
    return user


def _api_keys(session: Session, user: User) -> int:
    now = transactions.now(session)
    made = select(ApiKey).where(
        ApiKey.account_id == user.account_id, ApiKey.created_by == f"user:{user.email}"
    )
    return sum(key.is_usable(now) for key in session.scalars(made))


def _record(session: Session, user: User, actor: str, action: str) -> None:
    audit_log.record(session, user.account_id, actor=actor, action=action, target=user.email)

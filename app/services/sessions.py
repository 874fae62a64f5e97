"""Who is signed in to the dashboard: rows by the hash of a token that only the browser has."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import ColumnElement, delete, or_, select, update

from app.db import now, transaction
from app.models import Account, User
from app.models.accounts import SignedIn
from app.services import audit

IDLE = timedelta(hours=12)
LONGEST = timedelta(days=7)
STAMP = timedelta(minutes=1)  # last_seen_at is not written more often: reads stay reads
_TOKEN_BYTES = 16
_hasher = PasswordHasher()


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in."""

    user_id: UUID
    email: str
    role: str
    account_id: UUID
    account_name: str

    @property
    def actor(self) -> str:
        """The visitor in histories and in the log of acts."""
        return f"user:{self.email}"

    @property
    def may_change(self) -> bool:
        """Viewers only look."""
        return self.role != "viewer"


def sign_in(email: str, password: str) -> str | None:
    """The token of a new session; None if the two do not fit, or the account is suspended.

    An unknown address takes as long as a wrong password: both verify one hash.
    """
    user, is_active = _user(email.strip().lower())
    fits = _verify(user.password_hash if user else _dummy_hash(), password)
    if user is None or not fits or not is_active:
        return None
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    with transaction() as session:
        moment = now(session)
        session.execute(delete(SignedIn).where(_is_over(moment)))
        session.add(
            SignedIn(
                id=_digest(token), user_id=user.id, account_id=user.account_id,
                created_at=moment, last_seen_at=moment, expires_at=moment + LONGEST,
            )
        )  # fmt: skip
        audit.record(
            session, user.account_id, actor=f"user:{user.email}", action="user.signed_in",
            target=user.email,
        )  # fmt: skip
    return token


def find(token: str) -> Visitor | None:
    """Whose session it is; None if there is none, or it has ended.

    effects  the session is noted as seen, once a minute at most
    """
    with transaction(readonly=True) as session:
        moment = now(session)
        row = session.execute(
            select(SignedIn.last_seen_at, User, Account.name)
            .join(User, User.id == SignedIn.user_id)
            .join(Account, Account.id == SignedIn.account_id)
            .where(SignedIn.id == _digest(token), ~_is_over(moment), Account.status == "active")
        ).first()
    if row is None:
        return None
    last_seen_at, user, account_name = row
    if moment - last_seen_at >= STAMP:
        with transaction() as session:
            session.execute(
                update(SignedIn).where(SignedIn.id == _digest(token)).values(last_seen_at=moment)
            )
    return Visitor(user.id, user.email, user.role, user.account_id, account_name)


def end(token: str) -> None:
    """End the session, if it is one: whoever has a copy of its cookie has nothing."""
    with transaction() as session:
        session.execute(delete(SignedIn).where(SignedIn.id == _digest(token)))


def _user(email: str) -> tuple[User | None, bool]:
    """The user, and whether the account is active; NUL is no text for PostgreSQL."""
    if "\0" in email or len(email) > 254:
        return None, False
    with transaction(readonly=True) as session:
        row = session.execute(
            select(User, Account.status)
            .join(Account, Account.id == User.account_id)
            .where(User.email == email)
        ).first()
    return (row[0], row[1] == "active") if row else (None, False)


def _verify(password_hash: str, password: str) -> bool:
    _dummy_hash()  # made at the first call, whoever that is
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _dummy_hash() -> str:
    return _hasher.hash(secrets.token_urlsafe(_TOKEN_BYTES))


def _is_over(moment: datetime) -> ColumnElement[bool]:
    return or_(SignedIn.expires_at <= moment, SignedIn.last_seen_at <= moment - IDLE)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

"""Who is signed in to the dashboard: rows by the hash of a token that only the browser has."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.orm import Session

from app.db import transactions
from app.db.transactions import transaction
from app.models import Account, BrowserSession, User
from app.models.accounts import ROLES
from app.services.accounts import passwords, sign_in_networks, two_factor
from app.services.core import audit_log, refusals
from app.services.core.refusals import Refusal

IDLE = timedelta(hours=12)
MAX_LIFETIME = timedelta(days=7)
CODE_TIMEOUT = timedelta(minutes=5)  # between the password and the code
STAMP = timedelta(minutes=1)  # last_seen_at is not written more often: reads stay reads
_TOKEN_BYTES = 16


@dataclass(frozen=True, slots=True)
class UserSession:
    """A user who is signed in."""

    user_id: UUID
    email: str
    role: str
    account_id: UUID
    account_name: str

    @property
    def actor(self) -> str:
        """The visitor in histories and in the log of acts."""
        return f"user:{self.email}"

    def is_at_least(self, role: str) -> bool:
        """Whether the visitor may whatever this role may."""
        return ROLES.index(self.role) <= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a browser gets for a password: the way in, or the way to the question for a code."""

    token: str
    mfa_pending: bool


def sign_in(email: str, password: str, agent: str = "") -> Entry | None:
    """A new session; None if the two do not fit, or user or account is not active.

    An unknown address takes as long as a wrong password: both verify one hash.
    """
    email = email.strip().lower()
    user, is_active = _user(email)
    fits = passwords.matches(user.password_hash if user else None, password)
    if user is None or not fits or not is_active:
        if user is not None:
            reason = "account or user is not active" if fits else "wrong password"
            refusals.note(
                Refusal(
                    account_id=user.account_id,
                    actor=refusals.ANONYMOUS,
                    action="user.sign_in_failed",
                    target=email,
                    reason=reason,
                )
            )
        return None
    mfa_pending = user.totp_secret is not None
    with transaction() as session:
        token = _open(session, user, agent, mfa_pending=mfa_pending)
        if not mfa_pending:
            _record(session, user, "user.signed_in")
            sign_in_networks.note(session, user, agent)
    return Entry(token, mfa_pending)


def awaiting_code(token: str) -> str | None:
    """The email address of the user who must enter a code; None if there is none."""
    with transaction(readonly=True) as session:
        user = _asked(session, token)
        return user.email if user else None


def enter_code(token: str, code: str, agent: str = "") -> str | None:
    """The token of the session proper; None if the code is wrong, or no code was expected.

    effects  the code is spent; the token that waited for it is worth nothing any more
    """
    with transaction() as session:
        user = _asked(session, token)
        if user is None:
            return None
        if not two_factor.verify_code(session, user, code):
            _record(session, user, "user.code_refused")
            return None
        session.execute(delete(BrowserSession).where(BrowserSession.id == _digest(token)))
        _record(session, user, "user.signed_in")
        sign_in_networks.note(session, user, agent)
        return _open(session, user, agent)


def find(token: str) -> UserSession | None:
    """Whose session it is; None if there is none, it has ended, or a code is still required.

    effects  the session is noted as seen, once a minute at most
    """
    with transaction(readonly=True) as session:
        now = transactions.now(session)
        row = session.execute(
            select(BrowserSession.last_seen_at, User, Account.name)
            .join(User, User.id == BrowserSession.user_id)
            .join(Account, Account.id == BrowserSession.account_id)
            .where(
                BrowserSession.id == _digest(token), ~_has_expired(now), ~BrowserSession.mfa_pending
            )
            .where(Account.status == "active", User.disabled_at.is_(None))
        ).first()
    if row is None:
        return None
    last_seen_at, user, account_name = row
    if now - last_seen_at >= STAMP:
        with transaction() as session:
            session.execute(
                update(BrowserSession)
                .where(BrowserSession.id == _digest(token))
                .values(last_seen_at=now)
            )
    return UserSession(
        user_id=user.id,
        email=user.email,
        role=user.role,
        account_id=user.account_id,
        account_name=account_name,
    )


def of_user(user_id: UUID) -> Sequence[BrowserSession]:
    """Where the person is signed in, last used first."""
    with transaction(readonly=True) as session:
        return session.scalars(
            select(BrowserSession)
            .where(
                BrowserSession.user_id == user_id,
                ~_has_expired(transactions.now(session)),
                ~BrowserSession.mfa_pending,
            )
            .order_by(BrowserSession.last_seen_at.desc())
        ).all()


def is_of(row: BrowserSession, token: str) -> bool:
    """Whether the session is the one with this token."""
    return row.id == _digest(token)


def end(token: str) -> None:
    """End the session; copies of its cookie become invalid."""
    with transaction() as session:
        session.execute(delete(BrowserSession).where(BrowserSession.id == _digest(token)))


def end_one(user_id: UUID, id: bytes) -> None:
    """End one session of the person's, wherever it is."""
    with transaction() as session:
        session.execute(
            delete(BrowserSession).where(BrowserSession.user_id == user_id, BrowserSession.id == id)
        )


def end_others(session: Session, user_id: UUID, token: str) -> None:
    """End all sessions of the person but the one with this token; a step."""
    others = BrowserSession.user_id == user_id, BrowserSession.id != _digest(token)
    session.execute(delete(BrowserSession).where(*others))


def end_every(session: Session, user_id: UUID) -> int:
    """End all sessions of the person, those that wait for a code too; how many. A step."""
    gone = session.execute(delete(BrowserSession).where(BrowserSession.user_id == user_id))
    return int(gone.rowcount)  # type: ignore[attr-defined]  # a DELETE has it


def end_all(user_session: UserSession) -> None:
    """Sign the person out everywhere, here too."""
    with transaction() as session:
        end_every(session, user_session.user_id)
        audit_log.record(
            session,
            user_session.account_id,
            actor=user_session.actor,
            action="user.signed_out_everywhere",
            target=user_session.email,
        )


def _open(session: Session, user: User, agent: str, *, mfa_pending: bool = False) -> str:
    token, now = secrets.token_urlsafe(_TOKEN_BYTES), transactions.now(session)
    session.execute(delete(BrowserSession).where(_has_expired(now)))
    session.add(
        BrowserSession(
            id=_digest(token),
            user_id=user.id,
            account_id=user.account_id,
            created_at=now,
            last_seen_at=now,
            expires_at=now + (CODE_TIMEOUT if mfa_pending else MAX_LIFETIME),
            mfa_pending=mfa_pending,
            address=audit_log.origin.get().address,
            agent=agent[:200] or None,
        )
    )
    return token


def _asked(session: Session, token: str) -> User | None:
    return session.scalar(
        select(User)
        .join(BrowserSession, BrowserSession.user_id == User.id)
        .join(Account, Account.id == BrowserSession.account_id)
        .where(
            BrowserSession.id == _digest(token),
            ~_has_expired(transactions.now(session)),
            BrowserSession.mfa_pending,
        )
        .where(Account.status == "active", User.disabled_at.is_(None))
    )


def _record(session: Session, user: User, action: str) -> None:
    actor = f"user:{user.email}"
    audit_log.record(session, user.account_id, actor=actor, action=action, target=user.email)


def _user(email: str) -> tuple[User | None, bool]:
    """The user, and whether user and account are active; NUL is no text for PostgreSQL."""
    if "\0" in email or len(email) > 254:
        return None, False
    with transaction(readonly=True) as session:
        row = session.execute(
            select(User, Account.status)
            .join(Account, Account.id == User.account_id)
            .where(User.email == email)
        ).first()
    if row is None:
        return None, False
    user, status = row
    return user, status == "active" and user.disabled_at is None


def _has_expired(now: datetime) -> ColumnElement[bool]:
    return or_(BrowserSession.expires_at <= now, BrowserSession.last_seen_at <= now - IDLE)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

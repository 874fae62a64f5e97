"""Browser sessions of the dashboard. A row has only the hash of the token in the cookie."""

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
from app.models import Account, BrowserSession, PasswordReset, User
from app.models.accounts import ROLES
from app.services.audit import audit_log, refusals
from app.services.audit.refusals import Refusal
from app.services.sign_in import passwords, sign_in_networks, two_factor

IDLE = timedelta(hours=12)
MAX_LIFETIME = timedelta(days=7)
CODE_TIMEOUT = timedelta(minutes=5)  # between the password and the code
STAMP = timedelta(minutes=1)  # last_seen_at is not written more often: reads stay reads
_TOKEN_BYTES = 16


@dataclass(frozen=True, slots=True)
class UserSession:
    """A user who is signed in; for the settings see ``models.User``."""

    user_id: UUID
    email: str
    role: str
    account_id: UUID
    account_name: str
    hides_first_steps: bool = False
    time_zone: str | None = None

    @property
    def actor(self) -> str:
        """Return the actor for histories and the audit log."""
        return f"user:{self.email}"

    def is_at_least(self, role: str) -> bool:
        """Return whether the user has this role or a higher one."""
        return ROLES.index(self.role) <= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class Entry:
    """The token of a new session, and whether the second factor is still required."""

    token: str
    mfa_pending: bool


def sign_in(email: str, password: str, agent: str = "") -> Entry | None:
    """Create a session; None if the password is wrong, or the user or account is not active.

    An unknown address takes as long as a wrong password, because both verify a hash.
    """
    email = email.strip().lower()
    user, is_active = _user(email)
    is_correct = passwords.matches(user.password_hash if user else None, password)
    if user is None or not is_correct or not is_active:
        if user is not None:
            reason = "account or user is not active" if is_correct else "wrong password"
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
    """Return the email address of the user who must enter a code; None if no code is expected."""
    with transaction(readonly=True) as session:
        user = _user_with_pending_code(session, token)
        return user.email if user else None


def enter_code(token: str, code: str, agent: str = "") -> str | None:
    """Return the token of a signed-in session; None if the code is wrong or none was expected.

    effects  the code is used up, and the session that expected it is deleted
    """
    with transaction() as session:
        user = _user_with_pending_code(session, token)
        if user is None:
            return None
        if not two_factor.verify_code(session, user, code):
            _record(session, user, "user.code_refused")
            return None
        session.execute(delete(BrowserSession).where(BrowserSession.id == id_of(token)))
        _record(session, user, "user.signed_in")
        sign_in_networks.note(session, user, agent)
        return _open(session, user, agent)


def find(token: str) -> UserSession | None:
    """Return the user of the session; None if there is none, it has ended, or a code is required.

    effects  stores when the session was last used, at most once a minute
    """
    with transaction(readonly=True) as session:
        now = transactions.now(session)
        row = session.execute(
            select(BrowserSession.last_seen_at, User, Account.name)
            .join(User, User.id == BrowserSession.user_id)
            .join(Account, Account.id == BrowserSession.account_id)
            .where(
                BrowserSession.id == id_of(token), ~has_expired(now), ~BrowserSession.mfa_pending
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
                .where(BrowserSession.id == id_of(token))
                .values(last_seen_at=now)
            )
    return UserSession(
        user_id=user.id,
        email=user.email,
        role=user.role,
        account_id=user.account_id,
        account_name=account_name,
        hides_first_steps=user.hides_first_steps,
        time_zone=user.time_zone,
    )


def of_user(session: Session, user_id: UUID) -> Sequence[BrowserSession]:
    """Return the sessions of the user, the last used first; runs in the caller's transaction."""
    return session.scalars(
        select(BrowserSession)
        .where(
            BrowserSession.user_id == user_id,
            ~has_expired(transactions.now(session)),
            ~BrowserSession.mfa_pending,
        )
        .order_by(BrowserSession.last_seen_at.desc())
    ).all()


def is_of(row: BrowserSession, token: str) -> bool:
    """Return whether the session has this token."""
    return row.id == id_of(token)


def end(token: str) -> None:
    """End the session; copies of its cookie become invalid."""
    with transaction() as session:
        session.execute(delete(BrowserSession).where(BrowserSession.id == id_of(token)))


def end_one(user_id: UUID, id: bytes) -> None:
    """End a session of the user on any device."""
    with transaction() as session:
        session.execute(
            delete(BrowserSession).where(BrowserSession.user_id == user_id, BrowserSession.id == id)
        )


def end_others(session: Session, user_id: UUID, token: str) -> None:
    """End the user's other sessions; runs in the caller's transaction.

    token    that of the session to retain
    effects  links for a new password stop working
    """
    _delete_reset_links(session, user_id)
    others = BrowserSession.user_id == user_id, BrowserSession.id != id_of(token)
    session.execute(delete(BrowserSession).where(*others))


def end_every(session: Session, user_id: UUID) -> int:
    """End all sessions of the user and return their number; runs in the caller's transaction.

    effects  links for a new password stop working
    """
    _delete_reset_links(session, user_id)
    result = session.execute(delete(BrowserSession).where(BrowserSession.user_id == user_id))
    return int(result.rowcount)  # type: ignore[attr-defined]  # a DELETE has it


def _delete_reset_links(session: Session, user_id: UUID) -> None:
    session.execute(delete(PasswordReset).where(PasswordReset.user_id == user_id))


def end_all(user_session: UserSession) -> None:
    """End all sessions of the user, including this one."""
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
    session.execute(delete(BrowserSession).where(has_expired(now)))
    session.add(
        BrowserSession(
            id=id_of(token),
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


def _user_with_pending_code(session: Session, token: str) -> User | None:
    return session.scalar(
        select(User)
        .join(BrowserSession, BrowserSession.user_id == User.id)
        .join(Account, Account.id == BrowserSession.account_id)
        .where(
            BrowserSession.id == id_of(token),
            ~has_expired(transactions.now(session)),
            BrowserSession.mfa_pending,
        )
        .where(Account.status == "active", User.disabled_at.is_(None))
    )


def _record(session: Session, user: User, action: str) -> None:
    actor = f"user:{user.email}"
    audit_log.record(session, user.account_id, actor=actor, action=action, target=user.email)


def _user(email: str) -> tuple[User | None, bool]:
    """The user, and whether user and account are active. PostgreSQL rejects NUL in text."""
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


def has_expired(now: datetime) -> ColumnElement[bool]:
    """Return the condition that a session has ended at this time."""
    return or_(BrowserSession.expires_at <= now, BrowserSession.last_seen_at <= now - IDLE)


def id_of(token: str) -> bytes:
    """Return the id of the session with this token."""
    return hashlib.sha256(token.encode()).digest()

"""Links by email with which people who lost their password choose a new one.

1. ``request`` stores the entered address without looking it up: the response and its time are the
   same whether or not the address has a user.
2. A worker looks the address up. A user who can sign in gets an email with a link; the row then has
   the digest of its token instead of the address. Other rows are deleted.
3. ``use`` sets the password once. It does not sign anyone in: the sign-in page follows, with the
   second factor if it is on.
"""

import hashlib
import secrets
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app import ids, settings
from app.db import transactions
from app.db.transactions import after_commit, transaction
from app.errors import InvalidRequest, NotFound
from app.jobs import queue
from app.models import Account, PasswordReset, User
from app.services.audit import audit_log, refusals
from app.services.emails import emails, security_emails
from app.services.emails.emails import NewEmail
from app.services.sign_in import passwords, sessions

LIFETIME = timedelta(hours=1)
PATH = "/auth/password/"
KIND = "password_reset"
DONE = "Your password was reset"
_TOKEN_BYTES = 24

BODY = """\
A new password was requested for {email} on mailwatch, from the IP address {address}.

To choose a new password, open this link:
{link}

The link works once, until {time} UTC. It ends all sessions. If two-factor authentication is on, you
still need a code to sign in.

If you did not request this, ignore this email. Your password is unchanged.
"""


def request(email: str) -> None:
    """Request a link for this address; a worker sends it if the address has a user.

    effects  a row and a job, for every address; nothing if no mail server is configured
    """
    if not emails.is_configured():
        return
    with transaction() as session:
        row = PasswordReset(
            id=ids.new(),
            email=email.strip().lower(),
            address=audit_log.origin.get().address,
            expires_at=transactions.now(session) + LIFETIME,
        )
        session.add(row)
        after_commit(session, queue.enqueue_delivery)


def enqueue_if_due() -> bool:
    """Enqueue the job that sends links if a request waits, and return whether it was enqueued."""
    with transaction(readonly=True) as session:
        is_due = session.scalar(select(exists().where(PasswordReset.digest.is_(None))))
    return bool(is_due) and queue.enqueue_delivery()


def send_requested(*, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Queue the emails with the requested links, and return the number of handled requests."""
    count = 0
    while not is_stopping() and _handle_next():
        count += 1
    return count


def find(token: str) -> str:
    """Return the email address of the user with this link.

    raises  NotFound if the link was used or replaced by a change of the password, has expired, or
            the user cannot sign in
    """
    with transaction(readonly=True) as session:
        return _user(session, token).email


def use(token: str, password: str) -> None:
    """Set the password of the user with this link.

    raises   as ``find``; InvalidRequest for a password that is too weak
    effects  all sessions and all links of the user end; an email to the user
    """
    if errors := passwords.validation_errors(password, find(token)):
        raise InvalidRequest(errors)
    password_hash = passwords.digest(password)
    with transaction() as session:
        user_id = _user(session, token).id
        session.execute(select(User.id).where(User.id == user_id).with_for_update())
        user = _user(session, token)  # read again under the lock: the link works once
        user.password_hash = password_hash
        ended = sessions.end_every(session, user.id)
        actor = f"user:{user.email}"
        audit_log.record(
            session,
            user.account_id,
            actor=actor,
            action="user.password_reset",
            target=user.email,
            sessions=ended,
        )
        security_emails.credentials_changed(session, user, DONE, actor)


def _handle_next() -> bool:
    """Handle the oldest request, and return whether there was one."""
    with transaction() as session:
        row = session.scalar(
            select(PasswordReset)
            .where(PasswordReset.digest.is_(None))
            .order_by(PasswordReset.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        if row is None:
            return False
        user = session.scalar(
            select(User)
            .join(Account, Account.id == User.account_id)
            .where(User.email == row.email)
            .where(Account.status == "active", User.disabled_at.is_(None))
        )
        if user is None or row.expires_at <= transactions.now(session):
            session.delete(row)
        else:
            _send(session, row, user)
        return True


def _send(session: Session, row: PasswordReset, user: User) -> None:
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    row.user_id, row.email, row.digest = user.id, None, _digest(token)
    row.expires_at = transactions.now(session) + LIFETIME
    body = BODY.format(
        email=user.email,
        address=row.address or "unknown",
        link=settings.current().base_url + PATH + token,
        time=f"{row.expires_at:%Y-%m-%d %H:%M}",
    )
    email = NewEmail(
        recipient=user.email,
        kind=KIND,
        subject="Choose a new password for mailwatch",
        body=body,
        account_id=user.account_id,
    )
    emails.enqueue(session, email)
    with audit_log.acting_from(row.address):
        audit_log.record(
            session,
            user.account_id,
            actor=refusals.ANONYMOUS,
            action="user.password_reset_requested",
            target=user.email,
        )


def _user(session: Session, token: str) -> User:
    user = session.scalar(
        select(User)
        .join(PasswordReset, PasswordReset.user_id == User.id)
        .join(Account, Account.id == User.account_id)
        .where(PasswordReset.digest == _digest(token))
        .where(PasswordReset.expires_at > transactions.now(session))
        .where(Account.status == "active", User.disabled_at.is_(None))
    )
    if user is None:
        raise NotFound
    return user


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

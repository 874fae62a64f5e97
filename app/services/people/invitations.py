"""Invitations: links with which people join an account.

The link is sent to the invited address, so accepting it proves access to the mailbox. An invitation
is deleted when its inviter is removed or demoted, and the inviter's role is checked again when it
is accepted.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Unpack
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app import ids, settings
from app.db import transactions
from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.models import Account, Email, Invitation, User
from app.models.stored_json import AuditDetails
from app.services.accounts import accounts
from app.services.accounts.accounts import NewUser
from app.services.audit import audit_log
from app.services.emails import emails, security_emails
from app.services.people import invitation_emails, ranks
from app.services.sign_in.sessions import UserSession

LIFETIME = timedelta(days=7)
MAX_PEOPLE = 200  # people and invitations of one account
MAX_PER_DAY = 50  # of one account
MAX_PER_ADDRESS = 3  # a day, by one account
_TOKEN_BYTES = 24
PATH = "/auth/invitation/"


@dataclass(frozen=True, slots=True)
class Created:
    """A new invitation. It does not reveal whether the address has a user in another account.

    link  None if it was sent by email; without a mail server the inviter must share it
    """

    email: str
    link: str | None


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation as shown to the invited person."""

    email: str
    role: str
    account_name: str
    invited_by: str


def pending(session: Session, account_id: UUID) -> Sequence[Invitation]:
    """Return the invitations that are neither accepted nor expired, newest first.

    Runs in the caller's transaction.
    """
    return session.scalars(
        select(Invitation)
        .where(
            Invitation.account_id == account_id,
            Invitation.expires_at > transactions.now(session),
        )
        .order_by(Invitation.id.desc())
    ).all()


def create(by: UserSession, email: str, role: str) -> Created:
    """Invite a person; an earlier invitation of the same address is replaced.

    raises   InvalidRequest; Conflict if the person is in the account
    effects  the link is sent by email. An address that has a user in another account gets an
             email without a link; the returned value is the same
    """
    email = email.strip().lower()
    if errors := accounts.validation_errors(email, role):
        raise InvalidRequest(errors)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    link = settings.current().base_url + PATH + token
    with transaction() as session:
        ranks.lock_account(session, by.account_id)
        ranks.check(session, by, role)
        _check_room(session, by.account_id, email)
        session.execute(
            delete(Invitation).where(
                Invitation.account_id == by.account_id, Invitation.email == email
            )
        )
        at = transactions.now(session)
        invitation = Invitation(
            id=ids.new(),
            account_id=by.account_id,
            email=email,
            role=role,
            digest=_digest(token),
            invited_by=by.email,
            inviter_id=by.user_id,
            is_emailed=emails.is_configured(),
            created_at=at,
            expires_at=at + LIFETIME,
        )
        session.add(invitation)
        has_user = bool(session.scalar(select(User.id).where(User.email == email)))
        invitation_emails.send(session, invitation, None if has_user else link)
        security_emails.invitation_changed(session, invitation, "created", by.actor)
        _record(session, by, "user.invited", email, role=role)
    return Created(email, None if invitation.is_emailed else link)


def revoke(by: UserSession, invitation_id: UUID) -> None:
    """Delete an invitation; its link stops working.

    raises  NotFound
    """
    with transaction() as session:
        invitation = session.scalar(
            select(Invitation).where(
                Invitation.account_id == by.account_id, Invitation.id == invitation_id
            )
        )
        if invitation is None:
            raise NotFound
        session.delete(invitation)
        security_emails.invitation_changed(session, invitation, "revoked", by.actor)
        _record(session, by, "user.invitation_withdrawn", invitation.email)


def revoke_of(session: Session, inviter_id: UUID) -> int:
    """Delete the invitations of an inviter and return their number.

    Runs in the caller's transaction.
    """
    result = session.execute(delete(Invitation).where(Invitation.inviter_id == inviter_id))
    return int(result.rowcount)  # type: ignore[attr-defined]  # a DELETE has it


def find(token: str) -> Invited:
    """Return the invitation with this token.

    raises  NotFound if there is none, it has expired, or its inviter may no longer invite
    """
    with transaction(readonly=True) as session:
        invitation = _usable(session, token)
        account = session.get_one(Account, invitation.account_id)
        return Invited(
            email=invitation.email,
            role=invitation.role,
            account_name=account.name,
            invited_by=invitation.invited_by,
        )


def accept(token: str, password: str) -> str:
    """Create the invited user and return the email address.

    raises  as ``find``; InvalidRequest for a password that is too weak; Conflict if the address
            has a user in another account
    """
    with transaction() as session:
        ranks.lock_account(session, _usable(session, token).account_id)
        invitation = _usable(
            session, token
        )  # read again under the lock: the inviter may have been demoted
        if session.scalar(select(User.id).where(User.email == invitation.email)):
            raise Conflict(_conflict(invitation))
        account = session.get_one(Account, invitation.account_id)
        actor = f"user:{invitation.email}"
        new = NewUser(invitation.email, invitation.role, password)
        accounts.add(session, account, new, actor=actor)
        security_emails.invitation_changed(session, invitation, "accepted", actor)
        session.delete(invitation)
        return invitation.email


def _conflict(invitation: Invitation) -> str:
    """The message, which mentions another account only to the owner of the mailbox."""
    if invitation.is_emailed:
        return (
            "This address already has a user in another account, and an address can belong to "
            "one account only. Ask for an invitation to another address."
        )
    return "This invitation cannot be accepted. Ask for an invitation to another address."


def _usable(session: Session, token: str) -> Invitation:
    row = session.execute(
        select(Invitation, User.role)
        .join(Account, Account.id == Invitation.account_id)
        .join(User, User.id == Invitation.inviter_id)
        .where(
            Invitation.digest == _digest(token), Invitation.expires_at > transactions.now(session)
        )
        .where(Account.status == "active", User.account_id == Invitation.account_id)
        .where(User.disabled_at.is_(None))
    ).first()
    if row is None or not ranks.may_grant(row[1], row[0].role):
        raise NotFound
    invitation: Invitation = row[0]
    return invitation


def _check_room(session: Session, account_id: UUID, email: str) -> None:
    is_member = User.account_id == account_id, User.email == email
    if session.scalar(select(User.id).where(*is_member)):
        raise Conflict(f"{email} is already a member of this account")
    tables = (User, Invitation)
    people = sum(_count(session, table, table.account_id == account_id) for table in tables)
    if people >= MAX_PEOPLE:
        raise InvalidRequest.field(
            "email", f"An account can have at most {MAX_PEOPLE} people and invitations"
        )
    is_of_today = (
        Email.account_id == account_id,
        Email.kind == invitation_emails.KIND,
        Email.created_at > transactions.now(session) - timedelta(days=1),
    )
    if _count(session, Email, *is_of_today) >= MAX_PER_DAY:
        raise InvalidRequest.field(
            "email", f"An account can send at most {MAX_PER_DAY} invitations a day"
        )
    if _count(session, Email, *is_of_today, Email.recipient == email) >= MAX_PER_ADDRESS:
        raise InvalidRequest.field(
            "email", f"{email} was invited {MAX_PER_ADDRESS} times today. Try again tomorrow"
        )


def _count(session: Session, table: type, *conditions: object) -> int:
    statement = select(func.count()).select_from(table).where(*conditions)  # type: ignore[arg-type]
    return session.scalar(statement) or 0


def _record(
    session: Session, by: UserSession, action: str, target: str, **details: Unpack[AuditDetails]
) -> None:
    audit_log.record(
        session, by.account_id, actor=by.actor, action=action, target=target, **details
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

"""The people of an account: invited by a link, given a role, removed."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app import ids
from app.db import now, transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.models import Account, Invitation, SignedIn, User
from app.models.accounts import ROLES
from app.services import accounts, audit, people_erasure, refusals
from app.services.refusals import Refusal
from app.services.sessions import Visitor

INVITATION = timedelta(days=7)
MOST = 200  # people and invitations of one account
_TOKEN_BYTES = 24


@dataclass(frozen=True, slots=True)
class Invited:
    """What an invitation says to whom it was sent."""

    email: str
    role: str
    account_name: str
    invited_by: str


def members(account_id: UUID) -> Sequence[User]:
    """Everybody in the account, longest there first."""
    with transaction(readonly=True) as session:
        statement = select(User).where(User.account_id == account_id).order_by(User.id)
        return session.scalars(statement).all()


def invitations(account_id: UUID) -> Sequence[Invitation]:
    """Who was invited and has not come yet, newest first."""
    with transaction(readonly=True) as session:
        return session.scalars(
            select(Invitation)
            .where(Invitation.account_id == account_id, Invitation.expires_at > now(session))
            .order_by(Invitation.id.desc())
        ).all()


def invite(by: Visitor, email: str, role: str) -> str:
    """The token of a link by which this person may join; one sent before is worth nothing.

    Whether the address has a user in another account is not told here.

    raises  InvalidRequest; Conflict if the person is in the account
    """
    email = email.strip().lower()
    complaints = accounts.complaints(email, role)
    if complaints:
        raise InvalidRequest(complaints)
    _check_rank(by, role)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    with transaction() as session:
        if session.scalar(
            select(User.id).where(User.email == email, User.account_id == by.account_id)
        ):
            raise Conflict(f"{email} is in the team already")
        _check_room(session, by.account_id)
        known = (Invitation.account_id == by.account_id, Invitation.email == email)
        session.execute(delete(Invitation).where(*known))
        moment = now(session)
        session.add(
            Invitation(
                id=ids.new(), account_id=by.account_id, email=email, role=role,
                digest=_digest(token), invited_by=by.email, created_at=moment,
                expires_at=moment + INVITATION,
            )
        )  # fmt: skip
        _record(session, by, "user.invited", email, role=role)
    return token


def withdraw(by: Visitor, invitation_id: UUID) -> None:
    """The link is worth nothing from now on.

    raises  NotFound
    """
    with transaction() as session:
        found = session.scalar(
            select(Invitation).where(
                Invitation.account_id == by.account_id, Invitation.id == invitation_id
            )
        )
        if found is None:
            raise NotFound
        session.delete(found)
        _record(session, by, "user.invitation_withdrawn", found.email)


def find_invitation(token: str) -> Invited:
    """What the link says.

    raises  NotFound if there is no such invitation, or it is over
    """
    with transaction(readonly=True) as session:
        found = _invitation(session, token)
        account = session.get_one(Account, found.account_id)
        return Invited(found.email, found.role, account.name, found.invited_by)


def accept(token: str, password: str) -> str:
    """The e-mail address of the user that the invitation has become.

    raises  NotFound; InvalidRequest for a password that will not do; Conflict if the address has
            a user in another account
    """
    with transaction() as session:
        found = _invitation(session, token)
        account = session.get_one(Account, found.account_id)
        actor = f"user:{found.email}"
        accounts.add(session, account, found.email, found.role, password, actor)
        session.delete(found)
        return found.email


def change_role(by: Visitor, user_id: UUID, role: str) -> None:
    """The person has another role from the next page on.

    raises  NotFound; InvalidRequest for what is no role, or one above one's own; Conflict if no
            owner would be left
    """
    if role not in ROLES:
        raise _invalid("role", f"one of {', '.join(ROLES)}")
    with transaction() as session:
        user = _member(session, by, user_id)
        _check_rank(by, role)
        if user.role == "owner" and role != "owner":
            _check_owners(session, by.account_id)
        before, user.role = user.role, role
        _record(session, by, "user.role_changed", user.email, before=before, after=role)


def remove(by: Visitor, user_id: UUID) -> None:
    """The person is out at once; the audit log keeps what they did.

    raises  NotFound; InvalidRequest for somebody above one; Conflict if no owner would be left
    """
    with transaction() as session:
        user = _member(session, by, user_id)
        if user.role == "owner":
            _check_owners(session, by.account_id)
        session.execute(delete(SignedIn).where(SignedIn.user_id == user.id))
        people_erasure.erase(session, user)
        session.delete(user)
        _record(session, by, "user.removed", user.email, role=user.role)


def _member(session: Session, by: Visitor, user_id: UUID) -> User:
    """A person of the account, whom ``by`` may do something about; the account is locked.

    The lock keeps two owners from making each other something less at the same moment.
    """
    session.scalar(select(Account.id).where(Account.id == by.account_id).with_for_update())
    user = session.scalar(select(User).where(User.account_id == by.account_id, User.id == user_id))
    if user is None:
        raise NotFound
    _check_rank(by, user.role)
    return user


def _check_rank(by: Visitor, role: str) -> None:
    """Only owners make owners, and do anything about one."""
    if not by.is_at_least(role):
        reason = f"the role {by.role} may not change the role {role}"
        refusals.note(Refusal(by.account_id, by.actor, "user.role_refused", "team", reason))
        raise _invalid("role", f"only an {role} may do that")


def _check_owners(session: Session, account_id: UUID) -> None:
    owners = session.scalar(
        select(func.count())
        .select_from(User)
        .where(User.account_id == account_id, User.role == "owner")
    )
    if (owners or 0) < 2:
        raise Conflict("The account needs an owner; make somebody else one first")


def _check_room(session: Session, account_id: UUID) -> None:
    tables = (User, Invitation)
    count = sum(
        session.scalar(
            select(func.count()).select_from(table).where(table.account_id == account_id)
        )
        or 0
        for table in tables
    )
    if count >= MOST:
        raise _invalid("email", f"an account may have {MOST} people and invitations")


def _invitation(session: Session, token: str) -> Invitation:
    found = session.scalar(
        select(Invitation)
        .join(Account, Account.id == Invitation.account_id)
        .where(Invitation.digest == _digest(token), Invitation.expires_at > now(session))
        .where(Account.status == "active")
        .with_for_update(of=Invitation)
    )
    if found is None:
        raise NotFound
    return found


def _record(session: Session, by: Visitor, action: str, target: str, **details: str) -> None:
    audit.record(session, by.account_id, actor=by.actor, action=action, target=target, **details)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _invalid(field: str, message: str) -> InvalidRequest:
    return InvalidRequest([{"field": field, "code": "invalid", "message": message}])

"""The members of an account: listing them, changing their roles, removing them."""

from collections.abc import Sequence
from typing import Unpack
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.models import BrowserSession, User
from app.models.accounts import ROLES
from app.models.stored_json import AuditDetails
from app.services.audit import audit_log
from app.services.emails import security_emails
from app.services.people import erasure, invitations, key_creators, ranks
from app.services.sign_in.sessions import UserSession


def read(session: Session, account_id: UUID) -> Sequence[User]:
    """Return the members of the account, the oldest first; runs in the caller's transaction."""
    statement = select(User).where(User.account_id == account_id).order_by(User.id)
    return session.scalars(statement).all()


def find(account_id: UUID, user_id: UUID) -> User:
    """Return a member of the account.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        return _owned(session, account_id, user_id)


def change_role(by: UserSession, user_id: UUID, role: str) -> None:
    """Change the role of a member, effective from the next request.

    raises   NotFound; InvalidRequest for an unknown role or one above one's own; Conflict if the
             account would have no owner
    effects  a demotion deletes the invitations that the member created
    """
    if role not in ROLES:
        message = f"must be one of {', '.join(ROLES)}"
        raise InvalidRequest.field("role", message)
    with transaction() as session:
        user = _member(session, by, user_id)
        ranks.check(session, by, role)
        if user.role == "owner" and role != "owner":
            _check_owners(session, by.account_id)
        before, user.role = user.role, role
        security_emails.role_changed(session, user, before, by.actor)
        is_demotion = not ranks.is_at_least(role, before)
        deleted = invitations.revoke_of(session, user.id) if is_demotion else 0
        _record(
            session,
            by,
            "user.role_changed",
            user.email,
            before=before,
            after=role,
            deletedInvitations=deleted,
        )


def remove(by: UserSession, user_id: UUID) -> None:
    """Remove a member. Entries of the audit log about the member remain.

    raises   NotFound; InvalidRequest for a higher role; Conflict if the account would have no
             owner
    effects  deletes the member's sessions and the invitations that the member created. API keys
             of the member stay valid until they are revoked (``key_creators``)
    """
    with transaction() as session:
        user = _member(session, by, user_id)
        if user.role == "owner":
            _check_owners(session, by.account_id)
        active = key_creators.active_keys(session, by.account_id, key_creators.actor_of(user))
        deleted = invitations.revoke_of(session, user.id)
        session.execute(delete(BrowserSession).where(BrowserSession.user_id == user.id))
        erasure.erase(session, user)
        security_emails.person_removed(session, user, by.actor)
        session.delete(user)
        _record(
            session,
            by,
            "user.removed",
            user.email,
            role=user.role,
            deletedInvitations=deleted,
            activeKeys=[key.key_id for key in active],
        )


def _member(session: Session, by: UserSession, user_id: UUID) -> User:
    """The member, if ``by`` may change it, with the account locked.

    The lock prevents two owners from demoting each other at the same time.
    """
    ranks.lock_account(session, by.account_id)
    user = _owned(session, by.account_id, user_id)
    ranks.check(session, by, user.role)
    return user


def _owned(session: Session, account_id: UUID, user_id: UUID) -> User:
    user = session.scalar(select(User).where(User.account_id == account_id, User.id == user_id))
    if user is None:
        raise NotFound
    return user


def _check_owners(session: Session, account_id: UUID) -> None:
    owners = session.scalar(
        select(func.count())
        .select_from(User)
        .where(User.account_id == account_id, User.role == "owner")
    )
    if (owners or 0) < 2:
        raise Conflict("An account needs an owner. Make another member an owner first")


def _record(
    session: Session, by: UserSession, action: str, target: str, **details: Unpack[AuditDetails]
) -> None:
    audit_log.record(
        session, by.account_id, actor=by.actor, action=action, target=target, **details
    )

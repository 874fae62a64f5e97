"""Role checks for changes of members. They read the current role in the transaction."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import InvalidRequest, NotFound
from app.models import Account, User
from app.models.accounts import ROLES
from app.services.audit import refusals
from app.services.audit.refusals import Refusal
from app.services.sign_in.sessions import UserSession

INVITING_ROLE = "admin"  # the lowest role that invites, changes and removes people


def is_at_least(role: str, required: str) -> bool:
    """Return whether ``role`` has all permissions of ``required``."""
    return ROLES.index(role) <= ROLES.index(required)


def may_grant(role: str, granted: str) -> bool:
    """Return whether a user with ``role`` may give another user the role ``granted``."""
    return is_at_least(role, INVITING_ROLE) and is_at_least(role, granted)


def lock_account(session: Session, account_id: UUID) -> None:
    """Prevent other changes of the account's members until the transaction ends."""
    session.scalar(select(Account.id).where(Account.id == account_id).with_for_update())


def check(session: Session, by: UserSession, role: str) -> None:
    """Check that the user may change members with this role, and give this role to others.

    The user's own role is read again, because it may have changed since the page was loaded.

    raises  NotFound if the user was removed or disabled; InvalidRequest if the role is too low
    """
    own = session.scalar(
        select(User.role).where(
            User.id == by.user_id, User.account_id == by.account_id, User.disabled_at.is_(None)
        )
    )
    if own is None:
        raise NotFound
    if not may_grant(own, role):
        reason = f"the role {own} is not allowed to change the role {role}"
        refusals.note(
            Refusal(
                account_id=by.account_id,
                actor=by.actor,
                action="user.role_refused",
                target="team",
                reason=reason,
            )
        )
        people = "an owner" if role == "owner" else "an admin or an owner"
        message = f"Only {people} can do this"
        raise InvalidRequest.field("role", message)

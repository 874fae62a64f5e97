"""Who may act on whom in an account: decided by the role at that moment, in the transaction."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import InvalidRequest, NotFound
from app.models import Account, User
from app.models.accounts import ROLES
from app.services.accounts.sessions import UserSession
from app.services.core import refusals
from app.services.core.refusals import Refusal

INVITING_ROLE = "admin"  # the lowest role that invites, changes and removes people


def is_at_least(role: str, required: str) -> bool:
    """Whether a person with ``role`` may do everything that ``required`` may do."""
    return ROLES.index(role) <= ROLES.index(required)


def may_grant(role: str, granted: str) -> bool:
    """Whether a person with ``role`` may make another person ``granted``."""
    return is_at_least(role, INVITING_ROLE) and is_at_least(role, granted)


def lock_account(session: Session, account_id: UUID) -> None:
    """Let no one else change the people of the account until the transaction ends."""
    session.scalar(select(Account.id).where(Account.id == account_id).with_for_update())


def check(session: Session, by: UserSession, role: str) -> None:
    """Make sure that the visitor may act on a person with this role, and give it to others.

    The visitor's own role is read again: the page may have been opened before a demotion.

    raises  NotFound for a visitor who was removed or disabled; InvalidRequest
    """
    own = session.scalar(
        select(User.role).where(
            User.id == by.user_id, User.account_id == by.account_id, User.disabled_at.is_(None)
        )
    )
    if own is None:
        raise NotFound
    if not may_grant(own, role):
        reason = f"the role {own} may not change the role {role}"
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

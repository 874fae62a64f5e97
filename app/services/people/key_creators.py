"""API keys by creator. A key remains valid after its creator is removed, until it is revoked."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.db.transactions import now, transaction
from app.errors import InvalidRequest, NotFound
from app.models import ApiKey, User
from app.services.api_keys import api_keys, callers
from app.services.people import ranks
from app.services.sign_in.sessions import UserSession

PERSON = "user:"
NOT_PEOPLE = ("user:operator", "user:demo")
REASON = "its creator was removed"


def active_keys(session: Session, account_id: UUID, creator: str) -> Sequence[ApiKey]:
    """Return the usable keys of the creator, oldest first; runs in the caller's transaction."""
    return [key for key in _active(session, account_id) if key.created_by == creator]


def by_creator(session: Session, account_id: UUID) -> Mapping[str, Sequence[ApiKey]]:
    """Return the usable keys that people created, by actor, oldest first.

    Runs in the caller's transaction.
    """
    keys: dict[str, list[ApiKey]] = {}
    for key in _active(session, account_id):
        keys.setdefault(key.created_by, []).append(key)
    return keys


def actor_of(user: User) -> str:
    """Return the user as the creator of API keys."""
    return PERSON + user.email


def revoke_all(by: UserSession, creator: str) -> int:
    """Revoke every usable key of a former member, and return their number.

    raises  NotFound if there is none; InvalidRequest if the creator is still a member
    """
    with transaction() as session:
        ranks.lock_account(session, by.account_id)
        ranks.check(session, by, ranks.INVITING_ROLE)
        if creator in _members(session, by.account_id):
            message = "This person is still a member. Revoke keys one by one"
            raise InvalidRequest.field("creator", message)
        rows = active_keys(session, by.account_id, creator)
        if not rows:
            raise NotFound
        api_keys.revoke_rows(session, rows, actor=by.actor, reason=REASON)
    callers.forget_cached()
    return len(rows)


def _active(session: Session, account_id: UUID) -> Sequence[ApiKey]:
    is_person = ApiKey.created_by.startswith(PERSON, autoescape=True)
    return session.scalars(
        select(ApiKey)
        .where(
            ApiKey.account_id == account_id,
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now(session)),
            is_person,
            ApiKey.created_by.not_in(NOT_PEOPLE),
        )
        .order_by(ApiKey.id)
    ).all()


def _members(session: Session, account_id: UUID) -> set[str]:
    emails = session.scalars(select(User.email).where(User.account_id == account_id))
    return {PERSON + email for email in emails}

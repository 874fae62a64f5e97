"""Views of a list that a user has saved: filters and an order, with a name."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app import ids
from app.db.bulk import insert
from app.db.transactions import transaction
from app.errors import InvalidRequest, NotFound
from app.models import SavedView, User

DOMAINS = "domains"  # the page of all views up to now
MAX_VIEWS = 20  # of a user, for a page
MAX_NAME = 60


def read(session: Session, user_id: UUID) -> Sequence[SavedView]:
    """Return the views of the user by name, in the caller's transaction."""
    of_user = SavedView.user_id == user_id, SavedView.page == DOMAINS
    return session.scalars(select(SavedView).where(*of_user).order_by(SavedView.name)).all()


def save(user_id: UUID, name: str, filters: Mapping[str, str]) -> None:
    """Save a view; one with the same name is replaced.

    raises  InvalidRequest without a name, or above MAX_VIEWS
    """
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidRequest.field("name", f"Enter a name of 1 to {MAX_NAME} characters", "length")
    with transaction() as session:
        session.execute(select(User.id).where(User.id == user_id).with_for_update())
        others = (
            select(func.count())
            .select_from(SavedView)
            .where(SavedView.user_id == user_id, SavedView.name != name)
        )
        if (session.scalar(others) or 0) >= MAX_VIEWS:
            message = f"You can save {MAX_VIEWS} views. Delete one first"
            raise InvalidRequest.field("name", message, "too_many")
        statement = insert(session, SavedView).values(
            id=ids.new(), user_id=user_id, page=DOMAINS, name=name, filters=dict(filters)
        )
        statement = statement.on_conflict_do_update(
            index_elements=["user_id", "page", "name"],
            set_={"filters": statement.excluded.filters},
        )
        session.execute(statement)


def remove(user_id: UUID, view_id: UUID) -> SavedView:
    """Delete a view of the user, and return it.

    raises  NotFound
    """
    with transaction() as session:
        row = session.scalar(
            select(SavedView).where(SavedView.id == view_id, SavedView.user_id == user_id)
        )
        if row is None:
            raise NotFound
        session.execute(delete(SavedView).where(SavedView.id == row.id))
        return row

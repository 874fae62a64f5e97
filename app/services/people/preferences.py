"""What a user has set for the own dashboard."""

from sqlalchemy import update

from app.db.transactions import transaction
from app.models import User
from app.services.sign_in.sessions import UserSession


def hide_first_steps(user_session: UserSession, *, is_hidden: bool) -> None:
    """Hide the first steps on the overview of this user, or show them again."""
    with transaction() as session:
        session.execute(
            update(User).where(User.id == user_session.user_id).values(hides_first_steps=is_hidden)
        )

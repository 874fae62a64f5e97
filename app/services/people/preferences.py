"""What a user has set for the own dashboard."""

from sqlalchemy import update

from app.db.transactions import transaction
from app.errors import InvalidRequest
from app.models import User
from app.protocols import timestamps
from app.services.sign_in.sessions import UserSession


def hide_first_steps(user_session: UserSession, *, is_hidden: bool) -> None:
    """Hide the first steps on the overview of this user, or show them again."""
    with transaction() as session:
        session.execute(
            update(User).where(User.id == user_session.user_id).values(hides_first_steps=is_hidden)
        )


def set_time_zone(user_session: UserSession, name: str | None) -> None:
    """Show times to this user in the zone; None for the zone of the browser.

    raises  InvalidRequest if there is no such zone
    """
    if name is not None and timestamps.find_zone(name) is None:
        raise InvalidRequest.field("time_zone", timestamps.UNKNOWN_ZONE)
    with transaction() as session:
        session.execute(update(User).where(User.id == user_session.user_id).values(time_zone=name))

"""What people do about their own way in: the password, and the second factor.

Each act wants the password of whoever is signed in, for a browser may be left unattended; and it
ends the person's other sessions, for what let a stranger in may have been what is now changed.
"""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import transaction
from app.errors import InvalidRequest, NotFound
from app.models import User
from app.services import audit, passwords, second_factor, sessions
from app.services.sessions import Visitor


def change_password(visitor: Visitor, token: str, current: str, wanted: str) -> None:
    """A new password.

    token    of the session that goes on; all others end
    raises   InvalidRequest if the current one is wrong, or the new one will not do
    """
    _check_password(visitor, current)
    complaints = passwords.complaints(wanted, visitor.email)
    if wanted == current:
        complaints = [{"field": "password", "code": "same", "message": "that is the one you have"}]
    if complaints:
        raise InvalidRequest(complaints)
    made = passwords.digest(wanted)
    with transaction() as session:
        user = _act(session, visitor, token, "user.password_changed")
        user.password_hash = made


def turn_on(visitor: Visitor, token: str, sealed: str, code: str) -> Sequence[str]:
    """The recovery codes of the second factor that is asked for from now on.

    sealed  the offer that the app has read; ``code`` is what the app shows
    raises  InvalidRequest for a code that does not fit it, or if there is a second factor
    """
    with transaction() as session:
        user = _act(session, visitor, token, "user.second_factor_on")
        if user.totp_secret is not None:
            message = "it is on already; turn it off first"
            raise InvalidRequest([{"field": "code", "code": "invalid", "message": message}])
        return second_factor.turn_on(session, user, sealed, code)


def turn_off(visitor: Visitor, token: str, current: str) -> None:
    """From now on the password is enough.

    raises  InvalidRequest if the password is wrong
    """
    _check_password(visitor, current)
    with transaction() as session:
        second_factor.turn_off(session, _act(session, visitor, token, "user.second_factor_off"))


def renew_codes(visitor: Visitor, token: str, current: str) -> Sequence[str]:
    """New recovery codes; the old ones are worth nothing.

    raises  InvalidRequest if the password is wrong, or there is no second factor
    """
    _check_password(visitor, current)
    with transaction() as session:
        user = _act(session, visitor, token, "user.recovery_codes_renewed")
        if user.totp_secret is None:
            message = "the second factor is off"
            raise InvalidRequest([{"field": "current", "code": "invalid", "message": message}])
        return second_factor.renew(session, user)


def _check_password(visitor: Visitor, current: str) -> None:
    with transaction(readonly=True) as session:
        stored = session.scalar(select(User.password_hash).where(User.id == visitor.user_id))
    if not passwords.fits(stored, current):
        message = "not the password you have now"
        raise InvalidRequest([{"field": "current", "code": "invalid", "message": message}])


def _act(session: Session, visitor: Visitor, token: str, action: str) -> User:
    """The person, with the act on record and the other sessions over."""
    user = session.scalar(select(User).where(User.id == visitor.user_id).with_for_update())
    if user is None:
        raise NotFound
    sessions.end_others(session, user.id, token)
    audit.record(
        session, visitor.account_id, actor=visitor.actor, action=action, target=visitor.email
    )
    return user

"""What people do about their own way in: the password, and the second factor.

Each act wants the password of whoever is signed in, for a browser may be left unattended; and it
ends the person's other sessions, for what let a stranger in may have been what is now changed.
Who has lost the second factor is let in by an operator.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.models import Account, User
from app.services import audit, passwords, second_factor, sessions
from app.services.sessions import Visitor


def change_password(visitor: Visitor, token: str, current: str, wanted: str) -> None:
    """A new password.

    token    of the session that goes on; all others end
    raises   InvalidRequest if the current one is wrong, or the new one will not do
    """
    check_password(visitor, current)
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
    check_password(visitor, current)
    with transaction() as session:
        second_factor.turn_off(session, _act(session, visitor, token, "user.second_factor_off"))


def renew_codes(visitor: Visitor, token: str, current: str) -> Sequence[str]:
    """New recovery codes; the old ones are worth nothing.

    raises  InvalidRequest if the password is wrong, or there is no second factor
    """
    check_password(visitor, current)
    with transaction() as session:
        user = _act(session, visitor, token, "user.recovery_codes_renewed")
        if user.totp_secret is None:
            message = "the second factor is off"
            raise InvalidRequest([{"field": "current", "code": "invalid", "message": message}])
        return second_factor.renew(session, user)


def check_password(visitor: Visitor, current: str) -> None:
    """Make sure that it is the visitor who acts, and not somebody at an unattended browser.

    raises  InvalidRequest if the password is not the current one
    """
    with transaction(readonly=True) as session:
        stored = session.scalar(select(User.password_hash).where(User.id == visitor.user_id))
    if not passwords.fits(stored, current):
        message = "not the password you have now"
        raise InvalidRequest([{"field": "current", "code": "invalid", "message": message}])


@dataclass(frozen=True, slots=True)
class Reset:
    """What an operator took from somebody: unused recovery codes, and sessions."""

    email: str
    account_name: str
    codes: int
    sessions: int


def reset_second_factor(email: str, *, actor: str) -> Reset:
    """Let somebody in by the password alone who has lost phone and codes; all sessions end.

    raises  NotFound if nobody has this address; Conflict if there is no second factor
    """
    with transaction() as session:
        user = session.scalar(
            select(User).where(User.email == email.strip().lower()).with_for_update()
        )
        if user is None:
            raise NotFound
        if user.totp_secret is None:
            raise Conflict(f"{user.email} has no second factor; nothing was changed")
        codes = second_factor.codes_left(session, user.id)
        second_factor.turn_off(session, user)
        ended = sessions.end_every(session, user.id)
        audit.record(
            session, user.account_id, actor=actor, action="user.second_factor_reset",
            target=user.email, sessions=ended,
        )  # fmt: skip
        account = session.get_one(Account, user.account_id)
        return Reset(user.email, account.name, codes, ended)


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

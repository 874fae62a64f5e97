"""Changes of a user's own password and two-factor authentication.

Each change requires the current password, because a session may be stolen and a browser may be left
unattended. It ends the user's other sessions, which an intruder may have opened, and emails the
user. An operator resets two-factor authentication if the phone and the recovery codes are lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.models import Account, User
from app.services.audit import audit_log
from app.services.emails import security_emails
from app.services.sign_in import passwords, sessions, two_factor
from app.services.sign_in.sessions import UserSession

PASSWORD = "Your password was changed"
ON = "Two-factor authentication was turned on"
OFF = "Two-factor authentication was turned off"
RESET = "Two-factor authentication was reset"
CODES = "Your recovery codes were replaced"


def change_password(user_session: UserSession, token: str, current: str, new: str) -> None:
    """Change the password.

    token    the token of the current session; all other sessions end
    raises   InvalidRequest if the current password is wrong, or the new one is too weak
    """
    check_password(user_session, current)
    errors = passwords.validation_errors(new, user_session.email)
    if new == current:
        message = "Choose a password other than the current one"
        errors = [{"field": "password", "code": "same", "message": message}]
    if errors:
        raise InvalidRequest(errors)
    password_hash = passwords.digest(new)
    with transaction() as session:
        user = _act(session, user_session, token, "user.password_changed", PASSWORD)
        user.password_hash = password_hash


def enable_two_factor(
    user_session: UserSession, token: str, current: str, offer: str, code: str
) -> Sequence[str]:
    """Turn on two-factor authentication and return the recovery codes.

    offer   the encrypted secret of the offer; ``code`` is the code that the app shows
    raises  InvalidRequest if the password or the code is wrong, or two-factor authentication is
            already on
    """
    check_password(user_session, current)
    with transaction() as session:
        user = _act(session, user_session, token, "user.second_factor_on", ON)
        if user.totp_secret is not None:
            message = "Two-factor authentication is already on. Turn it off first"
            raise InvalidRequest.field("code", message)
        return two_factor.turn_on(session, user, offer, code)


def disable_two_factor(user_session: UserSession, token: str, current: str) -> None:
    """Turn off two-factor authentication, so that the password alone is sufficient.

    raises  InvalidRequest if the password is wrong
    """
    check_password(user_session, current)
    with transaction() as session:
        user = _act(session, user_session, token, "user.second_factor_off", OFF)
        two_factor.turn_off(session, user)


def renew_codes(user_session: UserSession, token: str, current: str) -> Sequence[str]:
    """Replace the recovery codes and return the new ones.

    raises  InvalidRequest if the password is wrong, or two-factor authentication is off
    """
    check_password(user_session, current)
    with transaction() as session:
        user = _act(session, user_session, token, "user.recovery_codes_renewed", CODES)
        if user.totp_secret is None:
            message = "Two-factor authentication is off"
            raise InvalidRequest.field("current", message)
        return two_factor.renew(session, user)


def check_password(user_session: UserSession, current: str) -> None:
    """Make sure that it is the visitor who acts, and not another person at an unattended browser.

    raises  InvalidRequest if the password is not the current one
    """
    with transaction(readonly=True) as session:
        stored = session.scalar(select(User.password_hash).where(User.id == user_session.user_id))
    if not passwords.matches(stored, current):
        message = "Incorrect current password"
        raise InvalidRequest.field("current", message)


@dataclass(frozen=True, slots=True)
class Reset:
    """What a reset removed: unused recovery codes, and sessions."""

    email: str
    account_name: str
    codes: int
    sessions: int


def reset_second_factor(email: str, *, actor: str) -> Reset:
    """Disable two-factor authentication of a person who lost phone and codes; all sessions end.

    raises  NotFound for an unknown address; Conflict if two-factor authentication is off
    """
    with transaction() as session:
        user = session.scalar(
            select(User).where(User.email == email.strip().lower()).with_for_update()
        )
        if user is None:
            raise NotFound
        if user.totp_secret is None:
            raise Conflict(f"{user.email} has no second factor; nothing was changed")
        codes = two_factor.codes_left(session, user.id)
        two_factor.turn_off(session, user)
        ended = sessions.end_every(session, user.id)
        audit_log.record(
            session,
            user.account_id,
            actor=actor,
            action="user.second_factor_reset",
            target=user.email,
            sessions=ended,
        )
        security_emails.credentials_changed(session, user, RESET, actor)
        account = session.get_one(Account, user.account_id)
        return Reset(email=user.email, account_name=account.name, codes=codes, sessions=ended)


def _act(
    session: Session, user_session: UserSession, token: str, action: str, sentence: str
) -> User:
    """The person, with the action in the audit log and in an email, and other sessions ended."""
    user = session.scalar(select(User).where(User.id == user_session.user_id).with_for_update())
    if user is None:
        raise NotFound
    sessions.end_others(session, user.id, token)
    audit_log.record(
        session,
        user_session.account_id,
        actor=user_session.actor,
        action=action,
        target=user_session.email,
    )
    security_emails.credentials_changed(session, user, sentence, user_session.actor)
    return user

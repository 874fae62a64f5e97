"""Two-factor authentication: codes of an authenticator app, and recovery codes."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from app.db import transactions
from app.db.transactions import transaction
from app.errors import InvalidRequest
from app.models import RecoveryCode, User
from app.protocols import totp
from app.services.core import encryption

ISSUER = "mailwatch"
RECOVERY_CODES = 10
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # no characters that are easily confused
_CODE_LENGTH = 16  # 79 bits: too many to guess, so a plain hash is enough


@dataclass(frozen=True, slots=True)
class Offer:
    """A secret that the user has not confirmed yet.

    secret_encrypted  the form sends it back with the first code
    """

    text: str
    uri: str
    secret_encrypted: str


@dataclass(frozen=True, slots=True)
class State:
    """Whether two-factor authentication is on, and how many recovery codes are unused."""

    is_on: bool
    codes_left: int


def state(session: Session, user_id: UUID) -> State:
    """Return the state of two-factor authentication; runs in the caller's transaction."""
    secret = session.scalar(select(User.totp_secret).where(User.id == user_id))
    return State(secret is not None, codes_left(session, user_id))


def codes_left(session: Session, user_id: UUID) -> int:
    """Return the number of unused recovery codes; runs in the caller's transaction."""
    count = session.scalar(
        select(func.count())
        .select_from(RecoveryCode)
        .where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
    )
    return count or 0


def offer(user_id: UUID, email: str, secret_encrypted: str | None = None) -> Offer | None:
    """Return an offer with a new secret for the user's app, or with an earlier one.

    secret_encrypted  that of an earlier offer
    returns           None if two-factor authentication is on already
    raises            InvalidRequest if the earlier offer is not one to this user
    """
    with transaction(readonly=True) as session:
        if state(session, user_id).is_on:
            return None
    if secret_encrypted is None:
        secret = secrets.token_bytes(totp.SECRET_BYTES)
        secret_encrypted = encryption.encrypt(secret.hex(), _purpose_of_offer(user_id))
    else:
        secret = _decrypt_offer(secret_encrypted, user_id)
    return Offer(totp.text_of(secret), totp.uri(secret, email, ISSUER), secret_encrypted)


def turn_on(session: Session, user: User, secret_encrypted: str, code: str) -> Sequence[str]:
    """Turn on two-factor authentication and return recovery codes, which are shown only once.

    Runs in the caller's transaction.

    raises  InvalidRequest if the code is not one of the offered secret
    """
    secret = _decrypt_offer(secret_encrypted, user.id)
    step = totp.step_of(secret, code, transactions.now(session).timestamp())
    if step is None:
        message = "Incorrect code. Enter the code that the app shows now"
        raise InvalidRequest.field("code", message)
    user.totp_secret = encryption.encrypt(secret.hex(), _purpose_of_secret(user.id))
    user.totp_step = step
    return renew(session, user)


def turn_off(session: Session, user: User) -> None:
    """Turn off two-factor authentication; runs in the caller's transaction."""
    user.totp_secret = user.totp_step = None
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))


def renew(session: Session, user: User) -> Sequence[str]:
    """Replace the recovery codes and return the new ones, which are shown only once.

    Runs in the caller's transaction.
    """
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(16)) for _ in range(RECOVERY_CODES)]
    rows = [{"user_id": user.id, "digest": _digest(code)} for code in codes]
    session.execute(insert(RecoveryCode), rows)
    return ["-".join(code[start : start + 4] for start in range(0, 16, 4)) for code in codes]


def verify_code(session: Session, user: User, text: str) -> bool:
    """Return whether the text is a valid code of the app or an unused recovery code, and use it up.

    Runs in the caller's transaction. Of two requests with the same code, only one succeeds: the
    UPDATE is conditional.
    """
    if user.totp_secret is None:
        return False
    now = transactions.now(session)
    purpose = _purpose_of_secret(user.id)
    secret = bytes.fromhex(encryption.decrypt(user.totp_secret, purpose))
    encryption.renew(session, User.totp_secret, user.id, user.totp_secret, purpose)
    step = totp.step_of(secret, text, now.timestamp(), after=user.totp_step)
    if step is not None:
        is_unused = User.totp_step.is_(None) | (User.totp_step < step)
        statement = update(User).where(User.id == user.id, is_unused).values(totp_step=step)
    else:
        statement = (
            update(RecoveryCode)
            .where(
                RecoveryCode.user_id == user.id,
                RecoveryCode.digest == _digest(text),
                RecoveryCode.used_at.is_(None),
            )
            .values(used_at=now)
        )
    count: int = session.execute(statement).rowcount  # type: ignore[attr-defined]  # of an UPDATE
    return count == 1


def _decrypt_offer(secret_encrypted: str, user_id: UUID) -> bytes:
    try:
        return bytes.fromhex(encryption.decrypt(secret_encrypted, _purpose_of_offer(user_id)))
    except ValueError:
        raise InvalidRequest.field("code", "Reload the page and scan the new QR code") from None


def _digest(text: str) -> bytes:
    code = "".join(character for character in text.lower() if character in _ALPHABET)
    return hashlib.sha256(code[: _CODE_LENGTH + 1].encode()).digest()


def _purpose_of_offer(user_id: UUID) -> str:
    return f"totp-offer:{user_id}"


def _purpose_of_secret(user_id: UUID) -> str:
    return f"totp:{user_id}"

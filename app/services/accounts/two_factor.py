"""The second factor: a code of an authenticator app, or a recovery code in its place."""

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
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # none that is taken for another
_CODE_LENGTH = 16  # 79 bits: too many to guess, so a plain hash is enough


@dataclass(frozen=True, slots=True)
class Offer:
    """A secret that is not confirmed yet. ``sealed`` comes back with the first code."""

    text: str
    uri: str
    secret_encrypted: str


@dataclass(frozen=True, slots=True)
class State:
    """Whether a person has one, and how many recovery codes are left."""

    is_on: bool
    codes_left: int


def state(user_id: UUID) -> State:
    """How it stands with this person."""
    with transaction(readonly=True) as session:
        secret = session.scalar(select(User.totp_secret).where(User.id == user_id))
        return State(secret is not None, codes_left(session, user_id))


def codes_left(session: Session, user_id: UUID) -> int:
    """How many recovery codes are unused; a step."""
    left = session.scalar(
        select(func.count())
        .select_from(RecoveryCode)
        .where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
    )
    return left or 0


def offer(user_id: UUID, email: str, sealed: str | None = None) -> Offer:
    """A new secret for this person's app, or the one that was offered already.

    raises  InvalidRequest for an offer that was not made to this person here
    """
    if sealed is None:
        secret = secrets.token_bytes(totp.SECRET_BYTES)
        sealed = encryption.encrypt(secret.hex(), _offered_to(user_id))
    else:
        secret = _opened(sealed, user_id)
    return Offer(totp.text_of(secret), totp.uri(secret, email, ISSUER), sealed)


def turn_on(session: Session, user: User, sealed: str, code: str) -> Sequence[str]:
    """The recovery codes, shown once; a step.

    raises  InvalidRequest for a code that is not the offered secret's
    """
    secret = _opened(sealed, user.id)
    step = totp.step_of(secret, code, transactions.now(session).timestamp())
    if step is None:
        message = "Incorrect code. Enter the code that the app shows now"
        raise InvalidRequest.field("code", message)
    user.totp_secret, user.totp_step = encryption.encrypt(secret.hex(), _kept_for(user.id)), step
    return renew(session, user)


def turn_off(session: Session, user: User) -> None:
    """From now on the password is enough; a step."""
    user.totp_secret = user.totp_step = None
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))


def renew(session: Session, user: User) -> Sequence[str]:
    """New recovery codes in place of the old ones, shown once; a step."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(16)) for _ in range(RECOVERY_CODES)]
    rows = [{"user_id": user.id, "digest": _digest(code)} for code in codes]
    session.execute(insert(RecoveryCode), rows)
    return ["-".join(code[start : start + 4] for start in range(0, 16, 4)) for code in codes]


def verify_code(session: Session, user: User, text: str) -> bool:
    """Whether the text is a code of this moment or an unused recovery code; both are then spent.

    A step. Two requests with one code: only one of them spends it, the row decides.
    """
    if user.totp_secret is None:
        return False
    now = transactions.now(session)
    secret = bytes.fromhex(encryption.decrypt(user.totp_secret, _kept_for(user.id)))
    encryption.renew(session, User.totp_secret, user.id, user.totp_secret, _kept_for(user.id))
    step = totp.step_of(secret, text, now.timestamp(), after=user.totp_step)
    if step is not None:
        is_unspent = User.totp_step.is_(None) | (User.totp_step < step)
        spent = update(User).where(User.id == user.id, is_unspent).values(totp_step=step)
    else:
        spent = (
            update(RecoveryCode)
            .where(
                RecoveryCode.user_id == user.id,
                RecoveryCode.digest == _digest(text),
                RecoveryCode.used_at.is_(None),
            )
            .values(used_at=now)
        )
    count: int = session.execute(spent).rowcount  # type: ignore[attr-defined]  # of an UPDATE
    return count == 1


def _opened(sealed: str, user_id: UUID) -> bytes:
    try:
        return bytes.fromhex(encryption.decrypt(sealed, _offered_to(user_id)))
    except ValueError:
        raise InvalidRequest.field("code", "Reload the page and scan the new QR code") from None


def _digest(text: str) -> bytes:
    kept = "".join(character for character in text.lower() if character in _ALPHABET)
    return hashlib.sha256(kept[: _CODE_LENGTH + 1].encode()).digest()


def _offered_to(user_id: UUID) -> str:
    return f"totp-offer:{user_id}"


def _kept_for(user_id: UUID) -> str:
    return f"totp:{user_id}"

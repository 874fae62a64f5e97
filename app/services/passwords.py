"""What people's passwords must be like, and how they are kept: argon2id."""

import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_LENGTH, MAX_LENGTH = 12, 200
MIN_DIFFERENT = 6  # characters: "aaaaaaaaaaaa" is long and no password
_GUESSED_FIRST = ("password", "passwort", "qwerty", "123456", "abcdef", "iloveyou", "letmein")
_hasher = PasswordHasher()


def complaints(password: str, email: str) -> list[dict[str, str]]:
    """What is wrong with it as a password of this person; nothing if it will do."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        return [_complaint("length", f"{MIN_LENGTH} to {MAX_LENGTH} characters")]
    plain = password.lower()
    name = email.partition("@")[0].lower()
    rest = min(len(plain.replace(word, "")) for word in (*_GUESSED_FIRST, name) if word)
    if len(set(plain)) < MIN_DIFFERENT or rest < MIN_LENGTH // 2:
        return [_complaint("guessable", "too easily guessed; take several words")]
    return []


def digest(password: str) -> str:
    """The argon2id hash to keep."""
    return _hasher.hash(password)


def fits(stored: str | None, password: str) -> bool:
    """Whether the password is the one of this hash; without one it is as slow, and False."""
    nobodys = _nobodys()  # made at the first call, whoever that is
    try:
        return _hasher.verify(stored or nobodys, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys() -> str:
    """A hash that no password fits, so that an unknown address costs one too."""
    return _hasher.hash(secrets.token_urlsafe(16))


def _complaint(code: str, message: str) -> dict[str, str]:
    return {"field": "password", "code": code, "message": message}

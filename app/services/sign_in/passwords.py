"""Requirements for passwords, and their argon2id hashes."""

import secrets
import string
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_LENGTH, MAX_LENGTH = 12, 200
MIN_DIFFERENT = 6  # characters, so that "aaaaaaaaaaaa" is refused
MAX_AROUND = 8  # digits and symbols around a common password that do not make it acceptable
_GUESSED_FIRST = (
    "password",
    "passwort",
    "qwerty",
    "123456",
    "abcdef",
    "iloveyou",
    "letmein",
    "mailwatch",
)
COMMON = Path(__file__).parent / "common_passwords.txt"
_AROUND = string.digits + string.punctuation + " "
_hasher = PasswordHasher()


def validation_errors(password: str, email: str) -> list[dict[str, str]]:
    """Return the errors of a new password of the user with this email address."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        return [_error("length", f"enter {MIN_LENGTH} to {MAX_LENGTH} characters")]
    plain = password.casefold()
    name = email.partition("@")[0].lower()
    rest = min(len(plain.replace(word, "")) for word in (*_GUESSED_FIRST, name) if word)
    if len(set(plain)) < MIN_DIFFERENT or rest < MIN_LENGTH // 2 or _is_common(plain):
        return [_error("guessable", "too easy to guess; use several words")]
    return []


def _is_common(plain: str) -> bool:
    """Whether it is a common password, also doubled or with digits and symbols around it.

    source  NIST SP 800-63B-4 §3.1.1.2, which requires comparing the entire password. Digits and
            symbols that people add to a common password hardly make it stronger
    """
    common, half = _common(), plain[: len(plain) // 2]
    core = plain.strip(_AROUND)
    return (
        plain in common
        or (plain == half * 2 and half in common)
        or (len(plain) - len(core) <= MAX_AROUND and core in common)
    )


@cache
def _common() -> frozenset[str]:
    lines = COMMON.read_text("utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


def digest(password: str) -> str:
    """Return the argon2id hash of the password."""
    return _hasher.hash(password)


def matches(stored: str | None, password: str) -> bool:
    """Return whether the password has this hash; without a hash, False after the same time."""
    dummy = _dummy_digest()  # computed at the first call
    try:
        return _hasher.verify(stored or dummy, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _dummy_digest() -> str:
    """A hash of no known password, so that an unknown address takes the same time."""
    return _hasher.hash(secrets.token_urlsafe(16))


def _error(code: str, message: str) -> dict[str, str]:
    return {"field": "password", "code": code, "message": message}

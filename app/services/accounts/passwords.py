"""What people's passwords must be like, and how they are kept: argon2id."""

import secrets
import string
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_LENGTH, MAX_LENGTH = 12, 200
MIN_DIFFERENT = 6  # characters: "aaaaaaaaaaaa" is long and no password
MAX_AROUND = 8  # characters that make a common password no better
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
    """What is wrong with it as a password of this person; nothing if it will do."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        return [_complaint("length", f"{MIN_LENGTH} to {MAX_LENGTH} characters")]
    plain = password.casefold()
    name = email.partition("@")[0].lower()
    rest = min(len(plain.replace(word, "")) for word in (*_GUESSED_FIRST, name) if word)
    if len(set(plain)) < MIN_DIFFERENT or rest < MIN_LENGTH // 2 or _is_common(plain):
        return [_complaint("guessable", "too easily guessed; take several words")]
    return []


def _is_common(plain: str) -> bool:
    """It is one of those that people choose most: as it is, twice, or with something around it.

    source  NIST SP 800-63B-4 §3.1.1.2 wants the whole of it compared. What people put before and
            behind a word to have it taken makes it no other word, unless it is long itself
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
    """The argon2id hash to keep."""
    return _hasher.hash(password)


def matches(stored: str | None, password: str) -> bool:
    """Whether the password is the one of this hash; without one it is as slow, and False."""
    nobodys = _dummy_digest()  # computed at the first call
    try:
        return _hasher.verify(stored or nobodys, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _dummy_digest() -> str:
    """A hash that no password fits, so that an unknown address costs one too."""
    return _hasher.hash(secrets.token_urlsafe(16))


def _complaint(code: str, message: str) -> dict[str, str]:
    return {"field": "password", "code": code, "message": message}

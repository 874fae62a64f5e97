"""API key tokens: their form, their checksum and the digests that are stored.

A token is ``mp_`` + 12 characters of public id + 32 of secret + 6 of checksum, all base 62. Only
its HMAC-SHA-256 is stored, with a key of the keyring, so that a stolen database confirms no token.
"""

import hmac
import re
import secrets
import zlib

from app import keyring
from app.keyring import Purpose

PREFIX = "mp_"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TOKEN = re.compile(r"mp_[0-9A-Za-z]{50}")


def matches_digest(token: str, stored: bytes) -> bool:
    """Return whether the digest is that of the token, under any key that is in use."""
    return any(hmac.compare_digest(digest, stored) for digest in digests(token))


def mint() -> str:
    """Return a new token: 71 bits of public id, 190 bits of secret, and the checksum of both."""
    body = PREFIX + "".join(secrets.choice(_BASE62) for _ in range(44))
    return body + checksum(body)


def checksum(body: str) -> str:
    """Return the CRC-32 of the body in 6 characters of base 62; it finds typing errors."""
    value, digits = zlib.crc32(body.encode()), []
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))


def is_well_formed(token: str) -> bool:
    """Return whether the text is a token, by its form and its checksum."""
    return _TOKEN.fullmatch(token) is not None and checksum(token[:-6]) == token[-6:]


def key_id_of(token: str) -> str:
    """Return the public id of a well-formed token."""
    return token[len(PREFIX) : len(PREFIX) + 12]


def digests(token: str) -> list[bytes]:
    """Return the digests of the token: under the current key first, then under older ones."""
    usable = keyring.usable(Purpose.API_KEYS)
    return [hmac.digest(key, token.encode(), "sha256") for key in usable]

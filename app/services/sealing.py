"""Secrets that must be readable again, sealed so that a stolen database alone tells none."""

import base64
import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app import settings

NONCE_BYTES = 12


class Unsealable(ValueError):
    """It was sealed under a SECRET_KEY that this process was not given, or for another purpose."""


def seal(text: str, purpose: str) -> str:
    """``text`` under AES-256-GCM with a key from SECRET_KEY; it opens for this purpose only."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = AESGCM(_key(settings.current().secret_key)).encrypt(
        nonce, text.encode(), purpose.encode()
    )
    return base64.urlsafe_b64encode(nonce + sealed).decode()


def unseal(sealed: str, purpose: str) -> str:
    """What was sealed, also under one of SECRET_KEY_PREVIOUS.

    raises  Unsealable
    """
    raw = base64.urlsafe_b64decode(sealed)
    chosen = settings.current()
    for secret in (chosen.secret_key, *chosen.secret_key_previous):
        try:
            cipher = AESGCM(_key(secret))
            return cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], purpose.encode()).decode()
        except InvalidTag:
            continue
    raise Unsealable("SECRET_KEY is another than when this was kept; add the old one as previous")


def _key(secret: str) -> bytes:
    return hashlib.sha256(f"seal:{secret}".encode()).digest()

"""Encryption of stored secrets with AES-256-GCM, so that a stolen database reveals none."""

import base64
import secrets
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import update
from sqlalchemy.orm import InstrumentedAttribute, Session

from app import keyring
from app.keyring import Purpose

NONCE_BYTES = 12


class DecryptionError(ValueError):
    """The text was encrypted with a key that this process does not have, or for another purpose."""


def encrypt(text: str, purpose: str) -> str:
    """Return the text encrypted with the current key; it can be decrypted for this purpose only."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    ciphertext = AESGCM(keyring.current(Purpose.ENCRYPTION)).encrypt(
        nonce, text.encode(), purpose.encode()
    )
    return base64.urlsafe_b64encode(nonce + ciphertext).decode()


def decrypt(encrypted: str, purpose: str) -> str:
    """Return the text, which may be encrypted with an older key.

    raises  DecryptionError
    """
    return _decrypt(encrypted, purpose)[0]


def is_outdated(encrypted: str, purpose: str) -> bool:
    """Return whether the text is encrypted with an older key.

    raises  DecryptionError
    """
    return _decrypt(encrypted, purpose)[1]


def renew(
    session: Session,
    column: InstrumentedAttribute[Any],
    row_id: UUID,
    encrypted: str | None,
    purpose: str,
) -> None:
    """Encrypt the value of a row with the current key if it is encrypted with an older one.

    Nothing happens if the value has changed since it was read, or cannot be decrypted.
    """
    try:
        text, is_old = _decrypt(encrypted, purpose) if encrypted else ("", False)
    except DecryptionError:
        return
    if is_old:
        table = column.class_
        session.execute(
            update(table)
            .where(table.id == row_id, column == encrypted)
            .values({column: encrypt(text, purpose)})
            .execution_options(synchronize_session=False)
        )


def _decrypt(encrypted: str, purpose: str) -> tuple[str, bool]:
    """Return the text, and whether it is encrypted with an older key."""
    raw = base64.urlsafe_b64decode(encrypted)
    for index, key in enumerate(keyring.usable(Purpose.ENCRYPTION)):
        try:
            text = AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], purpose.encode())
            return text.decode(), index > 0
        except InvalidTag:
            continue
    raise DecryptionError(
        "SECRET_KEY has changed since this was stored; add the old one to SECRET_KEY_PREVIOUS"
    )

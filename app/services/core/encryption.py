"""Secrets that must be readable again, sealed so that a stolen database alone tells none."""

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
    """It was sealed under a SECRET_KEY that this process was not given, or for another purpose."""


def encrypt(text: str, purpose: str) -> str:
    """``text`` under AES-256-GCM with the current key; it opens for this purpose only."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = AESGCM(keyring.current(Purpose.ENCRYPTION)).encrypt(
        nonce, text.encode(), purpose.encode()
    )
    return base64.urlsafe_b64encode(nonce + sealed).decode()


def decrypt(sealed: str, purpose: str) -> str:
    """What was sealed, also under an older key.

    raises  Unsealable
    """
    return _open(sealed, purpose)[0]


def renew(
    session: Session,
    column: InstrumentedAttribute[Any],
    row_id: UUID,
    sealed: str | None,
    purpose: str,
) -> None:
    """Seal the value of a row again with the current key, if an older key has sealed it.

    Nothing happens if the value has changed since it was read, or cannot be opened.
    """
    try:
        text, is_outdated = _open(sealed, purpose) if sealed else ("", False)
    except DecryptionError:
        return
    if is_outdated:
        table = column.class_
        session.execute(
            update(table)
            .where(table.id == row_id, column == sealed)
            .values({column: encrypt(text, purpose)})
            .execution_options(synchronize_session=False)
        )


def _open(sealed: str, purpose: str) -> tuple[str, bool]:
    """The text, and whether an older key has sealed it."""
    raw = base64.urlsafe_b64decode(sealed)
    for place, key in enumerate(keyring.usable(Purpose.ENCRYPTION)):
        try:
            text = AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], purpose.encode())
            return text.decode(), place > 0
        except InvalidTag:
            continue
    raise DecryptionError(
        "SECRET_KEY is another than when this was kept; add the old one as previous"
    )

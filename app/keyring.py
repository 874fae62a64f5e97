"""The keys of this process: one for each purpose, derived from SECRET_KEY or from its own setting.

A key is HKDF-SHA-256 (RFC 5869) of a secret, with the purpose in ``info``, so that no key reveals
another. The first key of a purpose is used for new data; all of them verify existing data. A
purpose with its own setting can be rotated without the others.
"""

import enum
import hashlib
from functools import lru_cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app import settings
from app.settings import Settings

KEY_BYTES = 32


class Purpose(enum.Enum):
    """The purpose of a key: its name in HKDF's ``info``, and the label of the former derivation."""

    API_KEYS = ("api-key-digests", "keys")
    ENCRYPTION = ("encryption", "seal")
    CSRF = ("csrf", "csrf")
    CURSORS = ("cursors", "cursor")
    UPLOAD_TOKENS = ("upload-token-digests", "upload-tokens")
    DEVICES = ("devices", "device")
    UNSUBSCRIBE = ("unsubscribe-links", "unsubscribe")

    def __init__(self, info: str, former_label: str) -> None:
        self.info, self.former_label = info, former_label


def current(purpose: Purpose) -> bytes:
    """Return the key for new data."""
    return usable(purpose)[0]


def usable(purpose: Purpose) -> tuple[bytes, ...]:
    """Return the keys that existing data may depend on: the current one first, then older ones.

    The last ones are those of the derivation before HKDF, for old digests and encrypted secrets.
    """
    chosen = settings.current()
    secrets = (chosen.secret_key, *chosen.secret_key_previous)
    return _derive(purpose, _own(purpose, chosen), secrets)


def _own(purpose: Purpose, chosen: Settings) -> tuple[str, ...]:
    match purpose:
        case Purpose.API_KEYS | Purpose.UPLOAD_TOKENS:
            return chosen.api_key_secrets
        case Purpose.ENCRYPTION:
            return chosen.encryption_secrets
        case Purpose.CSRF:
            return chosen.csrf_secrets
        case Purpose.CURSORS:
            return chosen.cursor_secrets
    return ()


@lru_cache(maxsize=64)
def _derive(purpose: Purpose, own: tuple[str, ...], secrets: tuple[str, ...]) -> tuple[bytes, ...]:
    keys = [_hkdf(purpose, secret) for secret in (*own, *secrets)]
    former = [f"{purpose.former_label}:{secret}".encode() for secret in secrets]
    return (*keys, *(hashlib.sha256(text).digest() for text in former))


def _hkdf(purpose: Purpose, secret: str) -> bytes:
    info = f"mailwatch/{purpose.info}".encode()
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=info).derive(secret.encode())

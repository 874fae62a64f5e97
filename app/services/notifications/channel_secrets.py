"""The encrypted secrets of channels."""

import json

from sqlalchemy.orm import Session

from app.channels.types import Secrets, StoredSecrets
from app.models import Channel
from app.services.core import encryption


def decrypt(channel: Channel) -> Secrets:
    """Return the secrets of the channel.

    raises  DecryptionError if they were encrypted under another SECRET_KEY
    """
    if channel.secret_encrypted is None:
        return Secrets()
    text = encryption.decrypt(channel.secret_encrypted, _purpose(channel))
    stored: StoredSecrets = json.loads(text)
    return Secrets.from_json(stored)


def encrypt(channel: Channel, secrets: Secrets) -> None:
    """Set the secrets of the channel; the caller's transaction stores them."""
    channel.secret_encrypted = encryption.encrypt(json.dumps(secrets.as_json()), _purpose(channel))


def renew(session: Session, channel: Channel) -> None:
    """Encrypt the secrets with the current key of the process if an older key encrypted them."""
    encryption.renew(
        session, Channel.secret_encrypted, channel.id, channel.secret_encrypted, _purpose(channel)
    )


def _purpose(channel: Channel) -> str:
    return f"channel:{channel.id}"

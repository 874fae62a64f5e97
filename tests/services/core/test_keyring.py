"""One key for each purpose; digests of older keys verify and are renewed on use."""

import base64
import hashlib
import hmac
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import update

from app import keyring
from app import settings as app_settings
from app.db.transactions import transaction
from app.keyring import Purpose
from app.models import ApiKey
from app.services.api_keys import callers
from app.services.core import encryption
from app.settings import Settings
from tests.support.factories import make_account, make_key

ADDRESS = "192.0.2.1"
OLD, NEW, OWN = "o" * 40, "n" * 40, "w" * 40


@pytest.fixture(autouse=True)
def _bind_settings(settings: Settings) -> Iterator[None]:
    app_settings.use(settings)
    use(secret_key=OLD)
    yield
    app_settings.use(settings)


def use(**changes: object) -> None:
    app_settings.use(app_settings.current().replace(**changes))


def test_each_purpose_has_its_own_key() -> None:
    every = [key for purpose in Purpose for key in keyring.usable(purpose)]
    assert len(set(every)) == len(every)
    assert {len(key) for key in every} == {32}


def test_one_purpose_is_rotated_without_the_others() -> None:
    before = {purpose: keyring.usable(purpose) for purpose in Purpose}
    use(encryption_secrets=(OWN,))
    for purpose in Purpose:
        if purpose is Purpose.ENCRYPTION:
            assert keyring.current(purpose) not in before[purpose]
            assert set(before[purpose]) < set(keyring.usable(purpose))
        else:
            assert keyring.usable(purpose) == before[purpose]


def test_purpose_with_its_own_secret_can_be_rotated_again() -> None:
    use(encryption_secrets=(OWN,))
    encrypted = encryption.encrypt("text", "mailbox")
    use(encryption_secrets=(NEW, OWN))
    assert encryption.decrypt(encrypted, "mailbox") == "text"
    use(encryption_secrets=(NEW,))
    with pytest.raises(encryption.DecryptionError):
        encryption.decrypt(encrypted, "mailbox")


def test_new_secret_key_changes_every_current_key_and_old_digests_verify() -> None:
    before = {purpose: keyring.usable(purpose) for purpose in Purpose}
    use(secret_key=NEW, secret_key_previous=(OLD,))
    for purpose in Purpose:
        assert keyring.current(purpose) not in before[purpose]
        assert set(before[purpose]) < set(keyring.usable(purpose))


def test_text_encrypted_with_the_former_derivation_is_decrypted() -> None:
    key = hashlib.sha256(f"seal:{OLD}".encode()).digest()
    nonce = b"\0" * 12
    raw = nonce + AESGCM(key).encrypt(nonce, b"text", b"mailbox")
    assert encryption.decrypt(base64.urlsafe_b64encode(raw).decode(), "mailbox") == "text"


def test_digest_of_the_former_derivation_verifies_and_is_renewed(
    database: object,
) -> None:
    use(secret_key=OLD)
    key, token = make_key(make_account().id)
    former = hmac.digest(hashlib.sha256(f"keys:{OLD}".encode()).digest(), token.encode(), "sha256")
    with transaction() as session:
        session.execute(update(ApiKey).where(ApiKey.id == key.id).values(digest=former))
    assert callers.resolve(token, ADDRESS)
    with transaction() as session:
        assert session.get_one(ApiKey, key.id).digest == key.digest


def test_encrypted_value_is_renewed_only_if_it_has_an_older_key(database: object) -> None:
    use(secret_key=OLD)
    key, _ = make_key(make_account().id)
    encrypted = encryption.encrypt("text", "test")
    _store(key, encrypted)
    assert _renewed(key, encrypted) == encrypted
    use(secret_key=NEW, secret_key_previous=(OLD,))
    again = _renewed(key, encrypted)
    assert again not in (None, encrypted)
    use(secret_key_previous=())
    assert encryption.decrypt(str(again), "test") == "text"


def test_value_that_changed_meanwhile_is_not_overwritten(database: object) -> None:
    use(secret_key=OLD)
    key, _ = make_key(make_account().id)
    encrypted = encryption.encrypt("text", "test")
    _store(key, "something newer")
    use(secret_key=NEW, secret_key_previous=(OLD,))
    assert _renewed(key, encrypted) == "something newer"


def _store(key: ApiKey, text: str) -> None:
    """Store the text in any column of a row."""
    with transaction() as session:
        session.execute(update(ApiKey).where(ApiKey.id == key.id).values(revoked_reason=text))


def _renewed(key: ApiKey, encrypted: str) -> str | None:
    with transaction() as session:
        encryption.renew(session, ApiKey.revoked_reason, key.id, encrypted, "test")
    with transaction() as session:
        return session.get_one(ApiKey, key.id).revoked_reason

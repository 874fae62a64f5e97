import pytest

from app import settings as app_settings
from app.services.core import encryption
from app.settings import Settings


@pytest.fixture(autouse=True)
def _bind_settings(settings: Settings) -> None:
    app_settings.use(settings)


def test_encrypted_text_can_be_decrypted() -> None:
    encrypted = encryption.encrypt("pass wörd", "mailbox")
    assert "pass" not in encrypted
    assert encryption.decrypt(encrypted, "mailbox") == "pass wörd"


def test_ciphertexts_of_the_same_text_differ() -> None:
    assert encryption.encrypt("a", "mailbox") != encryption.encrypt("a", "mailbox")


def test_text_is_decrypted_only_for_its_purpose() -> None:
    encrypted = encryption.encrypt("secret", "mailbox")
    with pytest.raises(encryption.DecryptionError):
        encryption.decrypt(encrypted, "webhook")


def test_previous_key_decrypts_and_no_other_key_does(settings: Settings) -> None:
    encrypted = encryption.encrypt("secret", "mailbox")
    old, new = settings.secret_key, "n" * 40
    app_settings.use(settings.replace(secret_key=new, secret_key_previous=(old,)))
    assert encryption.decrypt(encrypted, "mailbox") == "secret"
    app_settings.use(settings.replace(secret_key=new, secret_key_previous=()))
    with pytest.raises(encryption.DecryptionError, match="SECRET_KEY"):
        encryption.decrypt(encrypted, "mailbox")

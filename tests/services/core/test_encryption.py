import pytest

from app import settings as app_settings
from app.services.core import encryption
from app.settings import Settings


@pytest.fixture(autouse=True)
def _in_use(settings: Settings) -> None:
    app_settings.use(settings)


def test_what_is_sealed_can_be_read_again() -> None:
    sealed = encryption.encrypt("pass wörd", "mailbox")
    assert "pass" not in sealed
    assert encryption.decrypt(sealed, "mailbox") == "pass wörd"


def test_the_same_text_is_sealed_differently_each_time() -> None:
    assert encryption.encrypt("a", "mailbox") != encryption.encrypt("a", "mailbox")


def test_it_opens_for_its_purpose_only() -> None:
    sealed = encryption.encrypt("secret", "mailbox")
    with pytest.raises(encryption.DecryptionError):
        encryption.decrypt(sealed, "webhook")


def test_it_opens_with_the_key_of_before_and_with_no_other(settings: Settings) -> None:
    sealed = encryption.encrypt("secret", "mailbox")
    old, new = settings.secret_key, "n" * 40
    app_settings.use(settings.replace(secret_key=new, secret_key_previous=(old,)))
    assert encryption.decrypt(sealed, "mailbox") == "secret"
    app_settings.use(settings.replace(secret_key=new, secret_key_previous=()))
    with pytest.raises(encryption.DecryptionError, match="SECRET_KEY"):
        encryption.decrypt(sealed, "mailbox")

import dataclasses

import pytest

from app import settings as app_settings
from app.services.core import encryption
from app.settings import Settings


@pytest.fixture(autouse=True)
def _in_use(settings: Settings) -> None:
    app_settings.use(settings)


def test_what_is_sealed_can_be_read_again() -> None:
    sealed = encryption.seal("pass wörd", "mailbox")
    assert "pass" not in sealed
    assert encryption.unseal(sealed, "mailbox") == "pass wörd"


def test_the_same_text_is_sealed_differently_each_time() -> None:
    assert encryption.seal("a", "mailbox") != encryption.seal("a", "mailbox")


def test_it_opens_for_its_purpose_only() -> None:
    sealed = encryption.seal("secret", "mailbox")
    with pytest.raises(encryption.Unsealable):
        encryption.unseal(sealed, "webhook")


def test_it_opens_with_the_key_of_before_and_with_no_other(settings: Settings) -> None:
    sealed = encryption.seal("secret", "mailbox")
    old, new = settings.secret_key, "n" * 40
    app_settings.use(dataclasses.replace(settings, secret_key=new, secret_key_previous=(old,)))
    assert encryption.unseal(sealed, "mailbox") == "secret"
    app_settings.use(dataclasses.replace(settings, secret_key=new, secret_key_previous=()))
    with pytest.raises(encryption.Unsealable, match="SECRET_KEY"):
        encryption.unseal(sealed, "mailbox")

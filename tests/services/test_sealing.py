import dataclasses

import pytest

from app import settings as app_settings
from app.services import sealing
from app.settings import Settings


@pytest.fixture(autouse=True)
def _in_use(settings: Settings) -> None:
    app_settings.use(settings)


def test_what_is_sealed_can_be_read_again() -> None:
    sealed = sealing.seal("pass wörd", "mailbox")
    assert "pass" not in sealed
    assert sealing.unseal(sealed, "mailbox") == "pass wörd"


def test_the_same_text_is_sealed_differently_each_time() -> None:
    assert sealing.seal("a", "mailbox") != sealing.seal("a", "mailbox")


def test_it_opens_for_its_purpose_only() -> None:
    sealed = sealing.seal("secret", "mailbox")
    with pytest.raises(sealing.Unsealable):
        sealing.unseal(sealed, "webhook")


def test_it_opens_with_the_key_of_before_and_with_no_other(settings: Settings) -> None:
    sealed = sealing.seal("secret", "mailbox")
    old, new = settings.secret_key, "n" * 40
    app_settings.use(dataclasses.replace(settings, secret_key=new, secret_key_previous=(old,)))
    assert sealing.unseal(sealed, "mailbox") == "secret"
    app_settings.use(dataclasses.replace(settings, secret_key=new, secret_key_previous=()))
    with pytest.raises(sealing.Unsealable, match="SECRET_KEY"):
        sealing.unseal(sealed, "mailbox")

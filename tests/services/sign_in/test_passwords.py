"""Accepted passwords, and those that are easy to guess."""

import pytest

from app.services.sign_in import passwords

EMAIL = "ann@acme.test"


def codes(password: str) -> list[str]:
    return [complaint["code"] for complaint in passwords.validation_errors(password, EMAIL)]


@pytest.mark.parametrize(
    "password",
    [
        *("1qaz2wsx3edc", "FinalFantasy", "q1w2e3r4t5y6", "sonyericsson"),  # as they are
        *("sunshine2026", "Sunshine!2026", "2026-dragon!!", "123dragon456", "starwars 1977"),
        *("baseballbaseball", "Trustno1Trustno1"),
        *("password2026x", "mailwatch2026", "ann-ann-ann-", "aaaaaaaaaaaaaaa", "my-password1!"),
    ],
)
def test_common_passwords_are_refused(password: str) -> None:
    assert codes(password) == ["guessable"]


@pytest.mark.parametrize(
    "password",
    [
        *("correct horse battery", "dragon monkey sunshine", "an entirely other horse"),
        *("tiger-48291057366", "849302758174", "x7#Kd93!mmQ2", "Überraschung im März"),
        "dragonfly on a wire",
    ],
)
def test_passphrases_and_random_passwords_are_accepted(password: str) -> None:
    assert codes(password) == []


@pytest.mark.parametrize("password", ["", "short", "x" * 201])
def test_password_length_is_bounded(password: str) -> None:
    assert codes(password) == ["length"]


def test_password_list_names_its_source_and_has_no_duplicates() -> None:
    lines = (passwords.COMMON).read_text("utf-8").splitlines()
    head = [line for line in lines if line.startswith("#")]
    assert any("MIT License" in line for line in head)
    entries = lines[len(head) :]
    assert len(entries) == len(set(entries)) > 10_000
    assert all(entry == entry.strip().casefold() != "" for entry in entries)

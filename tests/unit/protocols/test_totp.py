"""One-time codes: RFC vectors, the time window, and single use."""

import pytest
from pyotp import TOTP

from app.protocols import totp

SECRET = b"12345678901234567890"
APP = TOTP(totp.text_of(SECRET))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [  # RFC 6238 appendix B, SHA-1; the last six of its eight digits
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_of_rfc_6238_are_accepted(seconds: int, expected: str) -> None:
    assert totp.step_of(SECRET, expected, seconds) == seconds // 30


@pytest.mark.parametrize(
    ("shift", "is_taken"), [(-60, False), (-30, True), (30, True), (60, False)]
)
def test_clock_difference_of_one_step_is_accepted(shift: int, is_taken: bool) -> None:
    now = 1_000_000_020
    typed = APP.at(now + shift)
    assert (totp.step_of(SECRET, typed, now) is not None) == is_taken


def test_used_step_and_earlier_steps_are_rejected() -> None:
    now = 1_000_000_020
    step = now // 30
    assert totp.step_of(SECRET, APP.generate_otp(step), now, after=step) is None
    assert totp.step_of(SECRET, APP.generate_otp(step - 1), now, after=step) is None
    assert totp.step_of(SECRET, APP.generate_otp(step + 1), now, after=step) == step + 1


@pytest.mark.parametrize("text", ["", "12345", "1234567", "１２３４５６", "abcdef", "0x1234"])
def test_malformed_code_is_rejected(text: str) -> None:
    assert totp.step_of(SECRET, text, 59) is None


def test_spaces_in_code_are_ignored() -> None:
    assert totp.step_of(SECRET, " 287 082 ", 59) == 1


def test_uri_contains_secret_and_issuer() -> None:
    assert totp.uri(SECRET, "ann@acme.test", "mail watch") == (
        "otpauth://totp/mail%20watch:ann%40acme.test"
        "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=mail%20watch"
    )

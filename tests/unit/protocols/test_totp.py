"""One-time codes: the vectors of the RFCs, the window, and that a code is taken once."""

import pytest

from app.protocols import totp

SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [  # RFC 6238 appendix B, SHA-1; its eight digits cut to the last six
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_the_rfc(seconds: int, expected: str) -> None:
    assert totp.code(SECRET, seconds // 30) == expected
    assert totp.step_of(SECRET, expected, seconds) == seconds // 30


@pytest.mark.parametrize(
    ("counter", "expected"),
    [(0, "755224"), (1, "287082"), (2, "359152"), (3, "969429"), (9, "520489")],
)
def test_codes_are_those_of_hotp(counter: int, expected: str) -> None:
    assert totp.code(SECRET, counter) == expected  # RFC 4226 appendix D


@pytest.mark.parametrize(
    ("shift", "is_taken"), [(-60, False), (-30, True), (30, True), (60, False)]
)
def test_a_clock_may_be_off_by_one_step(shift: int, is_taken: bool) -> None:
    now = 1_000_000_020
    typed = totp.code(SECRET, (now + shift) // 30)
    assert (totp.step_of(SECRET, typed, now) is not None) == is_taken


def test_a_step_that_was_taken_is_spent_and_so_are_those_before() -> None:
    now = 1_000_000_020
    step = now // 30
    assert totp.step_of(SECRET, totp.code(SECRET, step), now, after=step) is None
    assert totp.step_of(SECRET, totp.code(SECRET, step - 1), now, after=step) is None
    assert totp.step_of(SECRET, totp.code(SECRET, step + 1), now, after=step) == step + 1


@pytest.mark.parametrize("text", ["", "12345", "1234567", "１２３４５６", "abcdef", "0x1234"])
def test_what_is_no_code_is_none(text: str) -> None:
    assert totp.step_of(SECRET, text, 59) is None


def test_blanks_within_a_code_do_not_matter() -> None:
    assert totp.step_of(SECRET, " 287 082 ", 59) == 1


def test_an_app_reads_secret_and_issuer() -> None:
    assert totp.uri(SECRET, "ann@acme.test", "mail watch") == (
        "otpauth://totp/mail%20watch%3Aann@acme.test"
        "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=mail%20watch"
    )

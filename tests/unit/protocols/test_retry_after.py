"""Servers say how long clients are to wait, in seconds or as a date."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocols import retry_after

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("99999999999999999999", 86_400),
        ("Mon, 30 Nov 2026 12:02:00 GMT", 120),
        ("Monday, 30-Nov-26 12:02:00 GMT", 120),
        ("Mon, 30 Nov 2026 12:02:00 -0000", 120),
        ("Mon, 30 Nov 2026 11:00:00 GMT", 0),
        ("Mon, 30 Nov 2030 11:00:00 GMT", 86_400),
    ],
)
def test_header_is_read_in_both_forms(header: str, seconds: int) -> None:
    assert retry_after.wait(header, NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "header", ["", "soon", "-1", "1.5", "１２", "Mon, 30 Nov 2026 12:02:00 +99999999999999"]
)
def test_invalid_header_is_none(header: str) -> None:
    assert retry_after.wait(header, NOW) is None


@given(st.text() | st.text(st.sampled_from("0123456789:, +-GMTMonNov")))
def test_wait_is_never_out_of_range(header: str) -> None:
    wait = retry_after.wait(header, NOW)
    assert wait is None or timedelta(0) <= wait <= retry_after.MAX_WAIT

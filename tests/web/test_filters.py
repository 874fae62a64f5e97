"""Template filters."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.web.base import filters


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (10 * 1024**2, "10 MiB"),
        (1_500_000, "1.4 MiB"),
        (1024, "1 KiB"),
        (1023, "1,023 bytes"),
        (1, "1 byte"),
        (0, "0 bytes"),
    ],
)
def test_file_size_is_in_the_largest_unit(size_bytes: int, text: str) -> None:
    assert filters.file_size(size_bytes) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (0, "0"),
        (1.0, "1.0"),
        (True, "yes"),
        (False, "no"),
        (None, "none"),
        ([], "none"),
        ({"reports": 1, "isWellKnown": True}, "reports: 1, isWellKnown: yes"),
        ([{"days": 0}, {"days": 1}], "days: 0; days: 1"),
    ],
)
def test_numbers_and_truth_values_of_evidence_differ(value: Any, text: str) -> None:
    assert filters.words(value) == text


def test_sentences_keep_the_capitals_of_names() -> None:
    assert filters.sentence("MAIL_URL is not set") == "MAIL_URL is not set."
    assert filters.sentence("the server uses no TLS.") == "The server uses no TLS."


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=-2), "just now"),
        (timedelta(seconds=20), "in a moment"),
        (timedelta(minutes=-1, seconds=-5), "1 minute ago"),
        (timedelta(minutes=2, seconds=5), "in 2 minutes"),
    ],
)
def test_times_from_now_tell_the_past_from_the_future(span: timedelta, text: str) -> None:
    assert filters.ago(datetime.now(UTC) + span) == text

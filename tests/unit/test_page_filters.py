"""The text of values on pages of the dashboard."""

from typing import Any

import pytest

from app.web.base import filters


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

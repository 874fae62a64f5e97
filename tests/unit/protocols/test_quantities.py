"""Numbers with their nouns."""

import pytest

from app.protocols.quantities import quantity


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 messages"), (1, "1 message"), (1.2, "1 message"), (11_377, "11,377 messages")],
)
def test_the_noun_agrees_with_the_number(count: float, text: str) -> None:
    assert quantity(count, "message") == text


def test_an_irregular_plural_is_used_for_all_numbers_but_one() -> None:
    assert quantity(1, "address", "addresses") == "1 address"
    assert quantity(2, "address", "addresses") == "2 addresses"

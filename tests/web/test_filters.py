"""Template filters."""

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

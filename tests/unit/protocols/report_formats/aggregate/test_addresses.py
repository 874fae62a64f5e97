"""Source addresses of aggregate reports, compared with the standard library."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocols.report_formats.aggregate import values
from app.protocols.report_formats.limits import ReportRejected

WORD = st.sampled_from((0, 0, 0, 1, 0xFFFF, 0x0ABC)) | st.integers(0, 0xFFFF)
WORDS = st.lists(WORD, min_size=8, max_size=8)
TEXT = st.text("0123456789abcdefABCDEF:.", min_size=1, max_size=46)


def expected(text: str) -> str | None:
    """The address as the standard library writes it; None if it is not one."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def read(text: str) -> str | None:
    try:
        return values.address(text)
    except ReportRejected:
        return None


@given(WORDS, st.booleans())
def test_ipv6_addresses_are_written_as_the_standard_library_does(
    words: list[int], is_long: bool
) -> None:
    address = ipaddress.IPv6Address(b"".join(word.to_bytes(2) for word in words))
    text = address.exploded if is_long else str(address)
    assert read(text) == read(text.upper()) == expected(text)


@given(TEXT)
def test_any_text_is_accepted_or_rejected_as_by_the_standard_library(text: str) -> None:
    assert read(text) == expected(text)


@given(st.ip_addresses(), st.integers(0, 45), TEXT)
def test_damaged_addresses_are_accepted_or_rejected_as_by_the_standard_library(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, position: int, text: str
) -> None:
    whole = str(address)
    damaged = whole[:position] + text[:3] + whole[position + 1 :]
    assert read(damaged) == expected(damaged)


@pytest.mark.parametrize(
    "text",
    [
        *("::", "::1", "::102:304", "::1.2.3.4", "::ffff:1.2.3.4", "::ffff:102:304", "1::"),
        *("::ffff:0:1.2.3.4", "64:ff9b::1.2.3.4", "2001:db8:0:1:1:1:1:1", "1:0:0:2:0:0:0:3"),
        *("::1.2.3.04", "1.2.3.4::", ":::", "12345::", "1:2:3:4:5:6:7:8:9", "::1.2.3.4.5"),
    ],
)
def test_special_forms_are_handled_as_by_the_standard_library(text: str) -> None:
    assert read(text) == expected(text)

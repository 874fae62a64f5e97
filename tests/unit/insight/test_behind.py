"""Which records are behind a source: its addresses, and whether they are all of it."""

from collections import Counter

from app.insight import behind
from app.insight.sources import Service, Source


def source(key: str, *addresses: str, more: bool = False) -> Source:
    service = Service(key, key, "none", "a test")
    return Source(key, service, addresses=Counter(addresses), has_more_addresses=more)


def is_exact(*sources: Source) -> list[bool]:
    alone = behind.unshared(sources)
    return [behind.is_exact(one, alone) for one in sources]


def test_addresses_of_its_own_are_all_of_a_source() -> None:
    assert is_exact(source("a", "192.0.2.1", "192.0.2.2"), source("b", "192.0.2.3")) == [True, True]


def test_an_address_of_two_sources_is_exact_for_neither() -> None:
    both = source("a", "192.0.2.1"), source("a/forwarding", "192.0.2.1"), source("b", "192.0.2.2")
    assert is_exact(*both) == [False, False, True]


def test_more_addresses_than_a_list_may_name_are_not_all() -> None:
    addresses = [f"192.0.2.{number}" for number in range(behind.MOST_ADDRESSES + 1)]
    large = source("a", *addresses, addresses[-1])
    assert is_exact(large) == [False]
    named = behind.addresses(large)
    assert len(named) == behind.MOST_ADDRESSES
    assert named[0] == addresses[-1]


def test_mail_that_is_known_by_no_address_has_no_records_of_its_own() -> None:
    assert is_exact(source("elsewhere", more=True), source("a", "192.0.2.1")) == [False, False]

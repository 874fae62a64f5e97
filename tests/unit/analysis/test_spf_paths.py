"""The SPF terms that authorize an address, from the records of a scan."""

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.analysis.mail.spf_paths import SpfPaths


def dns_records(*records: tuple[str, str, list[str]]) -> list[dict[str, Any]]:
    return [{"name": name, "type": kind, "values": values} for name, kind, values in records]


RECORDS = dns_records(
    ("acme.test", "TXT", ["other", "v=spf1 ip4:192.0.2.0/28 include:a.test a mx -all"]),
    ("a.test", "TXT", ["v=spf1 ip6:2001:db8::/32 include:b.test ?ip4:203.0.113.9 ~all"]),
    ("b.test", "TXT", ["v=spf1 ip4:198.51.100.0/24 include:a.test ~all"]),
    ("acme.test", "A", ["203.0.113.1"]),
    ("acme.test", "AAAA", []),
    ("acme.test", "MX", ["10 mx.acme.test."]),
)


@pytest.mark.parametrize(
    ("address", "terms"),
    [
        ("192.0.2.15", ["ip4:192.0.2.0/28"]),
        ("192.0.2.16", []),
        ("198.51.100.7", ["include:a.test"]),
        ("2001:db8:1::1", ["include:a.test"]),
        ("2001:db9::1", []),
        ("203.0.113.1", ["a"]),
        ("203.0.113.9", []),
    ],
)
def test_address_matches_terms_whose_networks_contain_it(address: str, terms: list[str]) -> None:
    matches = SpfPaths("acme.test", RECORDS).authorizing(address)
    assert [term.text for term in matches] == terms


def test_term_is_open_if_it_may_authorize_unresolved_addresses() -> None:
    terms = SpfPaths("acme.test", RECORDS).terms
    assert [(term.text, term.domain, term.is_open) for term in terms] == [
        ("ip4:192.0.2.0/28", None, False),
        ("include:a.test", "a.test", False),
        ("a", None, False),
        ("mx", None, True),
    ]


def test_redirects_are_followed_and_loops_terminate() -> None:
    records = dns_records(
        ("acme.test", "TXT", ["v=spf1 ip4:192.0.2.1 redirect=b.test"]),
        ("b.test", "TXT", ["v=spf1 ip4:192.0.2.2 redirect=acme.test"]),
    )
    paths = SpfPaths("acme.test", records)
    assert [term.text for term in paths.terms] == ["ip4:192.0.2.1", "ip4:192.0.2.2"]


def test_each_name_of_a_nested_record_is_read_once() -> None:
    records = dns_records(
        *(
            (f"n{i}.test", "TXT", ["v=spf1 " + f"include:n{i + 1}.test " * 10 + "-all"])
            for i in range(40)
        )
    )
    assert len(SpfPaths("n0.test", records).terms) == 10


@pytest.mark.parametrize("check_result", [None, {"facts": {}, "records": []}])
def test_missing_record_has_no_paths(check_result: Any) -> None:
    assert SpfPaths.from_result("acme.test", check_result) is None


@given(
    networks=st.lists(
        st.tuples(st.integers(0, 2**16 - 1), st.integers(16, 32)), min_size=1, max_size=8
    ),
    address=st.integers(0, 2**16 - 1),
)
def test_matching_networks_agree_with_ipaddress(
    networks: list[tuple[int, int]], address: int
) -> None:
    base = int(ipaddress.IPv4Address("10.0.0.0"))
    made = [ipaddress.ip_network((base + n, bits), strict=False) for n, bits in networks]
    text = "v=spf1 " + " ".join(f"ip4:{network}" for network in made)
    paths = SpfPaths("acme.test", dns_records(("acme.test", "TXT", [text])))
    ip = ipaddress.IPv4Address(base + address)
    expected = [f"ip4:{network}" for network in made if ip in network]
    assert [term.text for term in paths.authorizing(str(ip))] == expected

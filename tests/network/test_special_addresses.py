"""The addresses to which the service may connect on behalf of third parties."""

import ipaddress

import pytest

from app.network.http import special_addresses


@pytest.mark.parametrize("network", special_addresses.SPECIAL, ids=str)
def test_first_and_last_address_of_special_network_are_not_public(
    network: special_addresses.Network,
) -> None:
    assert not special_addresses.is_public(network[0])
    assert not special_addresses.is_public(network[-1])


@pytest.mark.parametrize(
    "address",
    [
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2002:7f00:1::",
        "5f00::1",
        "fc00::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_special_ipv6_addresses_are_not_public(address: str) -> None:
    assert not special_addresses.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "100.63.255.255", "172.32.0.1", "2606:4700::1111"])
def test_public_addresses_are_public(address: str) -> None:
    assert special_addresses.is_public(ipaddress.ip_address(address))


def test_operator_can_allow_a_network() -> None:
    address = ipaddress.ip_address("10.1.2.3")
    assert special_addresses.is_public(address, (ipaddress.ip_network("10.1.0.0/16"),))
    assert not special_addresses.is_public(address, (ipaddress.ip_network("10.2.0.0/16"),))

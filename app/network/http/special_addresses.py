"""Addresses that are not public (RFC 6890, IANA's special-purpose registries).

For IPv4, these are the registry entries that are not globally reachable, and multicast, reserved
and deprecated ranges. For IPv6, everything outside the global unicast space, where the forms that
embed an IPv4 address are (mapped, NAT64), and special ranges within it (6to4, Teredo …).
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_IPV4 = tuple(
    IPv4Network(cidr)
    for cidr in (
        "0.0.0.0/8",  # this network (RFC 791 §3.2)
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # carrier-grade NAT (RFC 6598)
        "127.0.0.0/8",  # loopback (RFC 1122 §3.2.1.3)
        "169.254.0.0/16",  # link-local (RFC 3927), and cloud metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments (RFC 6890 §2.1)
        "192.0.2.0/24",  # TEST-NET-1 (RFC 5737)
        "192.88.99.0/24",  # 6to4 relays, deprecated (RFC 7526)
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "198.51.100.0/24",  # TEST-NET-2
        "203.0.113.0/24",  # TEST-NET-3
        "224.0.0.0/4",  # multicast (RFC 5771)
        "240.0.0.0/4",  # reserved, and the broadcast (RFC 1112 §4)
    )
)
_IPV6_UNICAST = IPv6Network("2000::/3")
_IPV6 = tuple(
    IPv6Network(cidr)
    for cidr in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID … (RFC 2928)
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4, which embeds any IPv4 address (RFC 3056)
        "3fff::/20",  # documentation (RFC 9637)
    )
)
SPECIAL: tuple[Network, ...] = (*_IPV4, *_IPV6)


def is_public(address: IPv4Address | IPv6Address, allowed: Sequence[Network] = ()) -> bool:
    """Whether the service may connect to the address on behalf of a third party.

    allowed  networks that the operator allows, even if they are not public
    """
    if any(address in network for network in allowed):
        return True
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _IPV4)
    return address in _IPV6_UNICAST and not any(address in network for network in _IPV6)

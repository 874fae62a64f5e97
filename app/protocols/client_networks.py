"""The network of a client address, which rate limits and logs count as one client."""

import ipaddress

_IPV6_PREFIX = 64  # the smallest network that one customer gets (RFC 6177 §2, RFC 4291 §2.5.1)


def client_network(address: str) -> str:
    """The network that one client controls: an IPv4 address, or the /64 of an IPv6 address.

    An IPv4 address in IPv6 notation (``::ffff:192.0.2.1``) is that IPv4 address. Text that
    is not an address is returned unchanged.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))

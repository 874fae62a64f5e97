"""Addresses of servers: an IP address, and a port that may be left out."""

import ipaddress
import re


def read(text: str, default_port: int) -> tuple[str, int] | None:
    """Read ``address[:port]``; an IPv6 address with a port is written ``[…]:port``.

    returns  None for other texts; any number of five digits is accepted as the port
    """
    is_bare = text.count(":") > 1 and not text.startswith("[")
    port_pattern = "()" if is_bare else r"(?::([0-9]{1,5}))?"
    match = re.fullmatch(rf"\[?([0-9A-Fa-f:.]+?)\]?{port_pattern}", text)
    try:
        address = ipaddress.ip_address(match[1] if match else "")
    except ValueError:
        return None
    return str(address), int((match and match[2]) or default_port)

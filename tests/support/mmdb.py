"""A small MMDB file with IPv4 networks and their data (MaxMind DB format 2.0)."""

import ipaddress
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MARKER = b"\xab\xcd\xefMaxMind.com"
_SEPARATOR = b"\0" * 16  # between tree and data


class Short(int):
    """A number of 16 bits; others have 32."""


class Long(int):
    """A number of 64 bits."""


def write(path: Path, networks: Mapping[str, Any]) -> Path:
    """The path, at which there is a database of these networks now."""
    nodes: list[list[Any]] = [[None, None]]
    data = b""
    for network, entry in networks.items():
        _insert(nodes, ipaddress.IPv4Network(network), len(data))
        data += _value(entry)
    tree = b"".join(_record(nodes, target).to_bytes(3, "big") for node in nodes for target in node)
    about: dict[str, Any] = {
        "node_count": len(nodes),
        "record_size": Short(24),
        "ip_version": Short(4),
        "database_type": "Test",
        "languages": [],
        "binary_format_major_version": Short(2),
        "binary_format_minor_version": Short(0),
        "build_epoch": Long(1),
        "description": {},
    }
    path.write_bytes(tree + _SEPARATOR + data + _MARKER + _value(about))
    return path


def _insert(nodes: list[list[Any]], network: ipaddress.IPv4Network, offset: int) -> None:
    """Point the bits of the network to ``offset`` of the data."""
    node, bits = 0, f"{int(network.network_address):032b}"[: network.prefixlen]
    for bit in map(int, bits[:-1]):
        if nodes[node][bit] is None:
            nodes.append([None, None])
            nodes[node][bit] = len(nodes) - 1
        node = nodes[node][bit]
    nodes[node][int(bits[-1])] = ("data", offset)


def _record(nodes: list[list[Any]], target: Any) -> int:
    """A node's number; the number of nodes for nothing; above it, where data is."""
    if target is None:
        return len(nodes)
    return len(nodes) + len(_SEPARATOR) + target[1] if isinstance(target, tuple) else int(target)


def _value(value: Any) -> bytes:
    match value:
        case str():
            raw = value.encode()
            return _control(2, len(raw)) + raw
        case Short():
            return _control(5, 2) + struct.pack(">H", value)
        case Long():
            return _control(9, 8) + struct.pack(">Q", value)
        case int():
            return _control(6, 4) + struct.pack(">I", value)
        case list():
            return _control(11, len(value)) + b"".join(map(_value, value))
        case dict():
            pairs = (_value(key) + _value(item) for key, item in value.items())
            return _control(7, len(value)) + b"".join(pairs)
    raise TypeError(type(value))


def _control(kind: int, size: int) -> bytes:
    """A type and a size below 285."""
    more = b"" if size < 29 else bytes([size - 29])
    size = min(size, 29)
    return (bytes([kind << 5 | size]) if kind < 8 else bytes([size, kind - 7])) + more

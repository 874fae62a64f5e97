"""Public ids: a type prefix and a UUIDv7 in 26 characters of base 32, sorting by time (TypeID)."""

import os
import time
from uuid import UUID

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUE = {character: value for value, character in enumerate(_ALPHABET)}


def new() -> UUID:
    """A fresh UUIDv7 (RFC 9562 §5.7): milliseconds of the clock, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    return UUID(int=(value & ~(0x3 << 62)) | (0x2 << 62))


def public(prefix: str, id: UUID) -> str:
    """``dom_01h455vb4pex5vsknk084sn02q``: the id as clients see it."""
    value = id.int
    digits = []
    for _ in range(26):
        digits.append(_ALPHABET[value & 31])
        value >>= 5
    return f"{prefix}_{''.join(reversed(digits))}"


def parse(prefix: str, text: str) -> UUID | None:
    """The id behind its public form, or None for anything that is not exactly that."""
    head, _, tail = text.partition("_")
    if head != prefix or len(tail) != 26 or tail[0] > "7" or not _VALUE.keys() >= set(tail):
        return None
    value = 0
    for character in tail:
        value = value << 5 | _VALUE[character]
    return UUID(int=value)

"""Public ids: a type prefix and a UUIDv7 in 26 characters of base 32, sorting by time (TypeID)."""

import os
import threading
import time
from functools import lru_cache
from uuid import UUID

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_lock = threading.Lock()
_last = 0  # of the 122 bits that are not the version and the variant
_VALUE = {character: value for value, character in enumerate(_ALPHABET)}


def new() -> UUID:
    """A fresh UUIDv7 (RFC 9562 §5.7): milliseconds of the clock, then 74 bits.

    The bits are random; within one millisecond of this process they count up instead (§6.2), so
    that what was made later sorts later.
    """
    global _last
    milliseconds = time.time_ns() // 1_000_000
    fresh = milliseconds << 74 | int.from_bytes(os.urandom(10), "big") >> 6
    with _lock:
        is_later = milliseconds > _last >> 74
        _last = fresh if is_later else _last + 1 + (fresh & 0xFFFF)
        value = _last
    high, low = value >> 62, value & ((1 << 62) - 1)
    return UUID(int=high >> 12 << 80 | 0x7 << 76 | (high & 0xFFF) << 64 | 0x2 << 62 | low)


@lru_cache(maxsize=16_384)  # lists show the same ones again and again
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

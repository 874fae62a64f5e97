"""Public ids: a type prefix and a UUIDv7 in 26 characters of base 32, sortable by time (TypeID)."""

import os
import threading
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from app import wall_clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_lock = threading.Lock()
_last = 0  # the last value, without version and variant bits
# Prefixes of earlier versions that are still accepted as input.
_FORMER_PREFIXES = {"file": "int"}
# What a resource of an account is called in messages, by the prefix of its id.
NOUNS = {
    "alert": "Alert",
    "batch": "Scan batch",
    "dmr": "DMARC report",
    "dom": "Domain",
    "file": "Report file",
    "flr": "Failure report",
    "scan": "Scan",
    "tlr": "TLS report",
}
_VALUE = {character: value for value, character in enumerate(_ALPHABET)}


def new() -> UUID:
    """Return a new UUIDv7 (RFC 9562 §5.7): milliseconds of the clock, then 74 bits.

    The bits are random; within one millisecond of this process they count up instead (§6.2), so
    that later ids sort after earlier ones.
    """
    global _last
    milliseconds = int(wall_clock.seconds() * 1_000)
    fresh = milliseconds << 74 | int.from_bytes(os.urandom(10), "big") >> 6
    with _lock:
        is_later = milliseconds > _last >> 74
        _last = fresh if is_later else _last + 1 + (fresh & 0xFFFF)
        value = _last
    high, low = value >> 62, value & ((1 << 62) - 1)
    return UUID(int=high >> 12 << 80 | 0x7 << 76 | (high & 0xFFF) << 64 | 0x2 << 62 | low)


def first_at(at: datetime) -> UUID:
    """Return the id that sorts before all ids of this time and later."""
    milliseconds = int(at.timestamp() * 1_000)
    return UUID(int=milliseconds << 80)


@lru_cache(maxsize=16_384)  # lists show the same ids repeatedly
def public(prefix: str, id: UUID) -> str:
    """Return the id as clients see it, such as ``dom_01h455vb4pex5vsknk084sn02q``."""
    value = id.int
    digits = []
    for _ in range(26):
        digits.append(_ALPHABET[value & 31])
        value >>= 5
    return f"{prefix}_{''.join(reversed(digits))}"


def parse(prefix: str, text: str) -> UUID | None:
    """Return the id in a public id; None if the text is not a valid public id of this type."""
    head, _, tail = text.partition("_")
    is_of_type = head in (prefix, _FORMER_PREFIXES.get(prefix))
    if not is_of_type or len(tail) != 26 or tail[0] > "7" or not _VALUE.keys() >= set(tail):
        return None
    value = 0
    for character in tail:
        value = value << 5 | _VALUE[character]
    return UUID(int=value)

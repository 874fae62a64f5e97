"""Values in the presentation format of zone files (RFC 1035 §5.1)."""

from collections.abc import Iterator

from app.protocols.zone_files.record_data import MAX_STRING

_TEXT_TYPES = ("TXT", "SPF")


def value(rdtype: str, text: str) -> str:
    """Return the data of a record; a TXT record as quoted strings of at most 255 bytes."""
    if rdtype not in _TEXT_TYPES:
        return text
    return " ".join(f'"{"".join(map(_escaped, string))}"' for string in strings(text))


def strings(text: str) -> Iterator[bytes]:
    """Yield the character-strings of a TXT record, at least one."""
    data = text.encode("utf-8", "surrogatepass")
    for start in range(0, len(data) or 1, MAX_STRING):
        yield data[start : start + MAX_STRING]


def _escaped(octet: int) -> str:
    if octet in b'"\\':
        return f"\\{chr(octet)}"
    return chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03}"

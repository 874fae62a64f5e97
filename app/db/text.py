"""Text as both databases store it, and as people can read it.

Text from outside (DNS records, reports, banners of mail servers, HTTP bodies) may contain any
character. PostgreSQL rejects U+0000, and neither database accepts lone surrogates. Every column of
text and every JSON value pass through this module.
"""

import re
from typing import Any

import orjson

# Control characters of C0 and C1 except tabs and line breaks, and lone surrogates.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# The same in the output of orjson, where a pair of backslashes is one character.
_JSON_CONTROL = re.compile(rb"\\(?:u00([01][0-9a-f])|(.))|\x7f|\xc2[\x80-\x9f]")
# Found in every text that the pattern above changes, and in few others. The search for one byte,
# or for a pattern that begins with one, takes a fifth of the time of a search for alternatives.
_JSON_ESCAPE = re.compile(rb"\\(?:u00[01]|[bf])")
_JSON_C1 = re.compile(rb"\xc2[\x80-\x9f]")
_SHORT = {b"b": b"\b", b"f": b"\f"}  # their short forms in JSON
TRUNCATED = "…"  # the last character of text that was too long


def escape(text: str) -> str:
    """Return the text with control characters as ``\\DDD``, the decimal value of each octet.

    source  RFC 1035 §5.1
    """
    return text if text.isprintable() else _CONTROL.sub(_escaped, text)


def truncate(text: str, length: int | None) -> str:
    """Return the text with at most this number of characters."""
    if length is None or len(text) <= length:
        return text
    return text[: length - 1] + TRUNCATED


def dump_json(value: Any) -> bytes:
    """Return the value as JSON, with control characters escaped as in ``escape``."""
    try:
        body = orjson.dumps(value)
    except TypeError:  # also for lone surrogates
        body = orjson.dumps(_without_surrogates(value))
    if _is_suspect(body):
        return _JSON_CONTROL.sub(_escaped_json, body)
    return body


def _is_suspect(body: bytes) -> bool:
    return (
        b"\x7f" in body
        or (b"\\" in body and _JSON_ESCAPE.search(body) is not None)
        or (b"\xc2" in body and _JSON_C1.search(body) is not None)
    )


def _escaped(match: re.Match[str]) -> str:
    return _octets(match[0].encode("utf-8", "surrogatepass"))


def _escaped_json(match: re.Match[bytes]) -> bytes:
    code, character = match.groups()
    if code is None and character is not None and character not in _SHORT:
        return match[0]
    octets = bytes((int(code, 16),)) if code else _SHORT.get(character, match[0])
    return _octets(octets).replace("\\", r"\\").encode()


def _octets(octets: bytes) -> str:
    return "".join(f"\\{octet:03}" for octet in octets)


def _without_surrogates(value: Any) -> Any:
    """The value with lone surrogates escaped, in keys too."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value

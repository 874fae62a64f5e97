"""DNS names in wire format: length-prefixed labels and pointers (RFC 1035 §3.1, §4.1.4)."""

import re
from collections.abc import Sequence

_MAX_NAME = 255  # octets on the wire, with the final empty label (RFC 1035 §2.3.4)
_MAX_POINTERS = 127  # one before each label that a name can have

_PLAIN = re.compile(rb"[!-\[\]-~]*")  # printable, and no backslash
_PREFIXED = {size: bytes((size,)) for size in range(1, 64)}  # the octet before a label
_UNPRINTABLE = re.compile(rb"[^!-~]|[\\.]")
_ESCAPED = re.compile(rb"\\([0-9]{3})|\\([^0-9])|([^\\.]+)|(\.)", re.DOTALL)


class Malformed(ValueError):
    """The bytes are not a valid DNS response, or the text is not a valid name."""


def read_name(data: bytes, at: int) -> tuple[str, int]:
    """The name at the offset, and the offset after it."""
    labels, octets, pointers = [], 1, 0
    start, behind = at, 0
    while size := data[at]:
        if size < 64:
            octets += size + 1
            labels.append(data[at + 1 : at + 1 + size])
            at += size + 1  # if the data ends here, data[at] raises IndexError
        elif size >= 192:
            behind = behind or at + 2
            at = (size & 63) << 8 | data[at + 1]
            pointers += 1
            if at >= start:
                raise Malformed("a compression pointer does not point backwards")
            start = at
        else:
            raise Malformed("unknown label type")
        if octets > _MAX_NAME or pointers > _MAX_POINTERS:
            raise Malformed("the name is too long")
    return _text(labels), behind or at + 1


def _text(labels: Sequence[bytes]) -> str:
    joined = b".".join(labels).lower()
    if _PLAIN.fullmatch(joined) and joined.count(b".") == max(len(labels) - 1, 0):
        return joined.decode("ascii")
    return b".".join(_UNPRINTABLE.sub(_escape, label.lower()) for label in labels).decode("ascii")


def _escape(match: re.Match[bytes]) -> bytes:
    octet = match[0]
    return b"\\" + octet if octet in (b".", b"\\") else b"\\%03d" % octet[0]


def encoded(name: str) -> bytes:
    if not name:
        return b"\0"
    octets = name.encode("utf-8", "surrogateescape")
    labels = _unescaped(octets) if b"\\" in octets else octets.split(b".")
    try:
        encoded = b"".join([_PREFIXED[len(label)] + label for label in labels]) + b"\0"
    except KeyError:
        raise Malformed("a label is empty or too long") from None
    if len(encoded) > _MAX_NAME:
        raise Malformed("the name is too long")
    return encoded


def _unescaped(octets: bytes) -> list[bytes]:
    labels, at = [b""], 0
    while at < len(octets):
        match = _ESCAPED.match(octets, at)
        if not match or (match[1] and int(match[1]) > 255):
            raise Malformed("invalid escape sequence")
        if match[4]:
            labels.append(b"")
        else:
            labels[-1] += bytes((int(match[1]),)) if match[1] else match[2] or match[3]
        at = match.end()
    return labels

"""Logotype extensions of certificates (RFC 3709)."""

import base64
import gzip
import hashlib

SHA256 = bytes.fromhex("608648016503040201")


def der(tag: int, *parts: bytes) -> bytes:
    """One element of ASN.1."""
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets + content


def logotype(
    image: bytes,
    uri: bytes | None = None,
    *,
    algorithm: bytes = SHA256,
    digest: bytes | None = None,
    kind: int = 0xA0,
    of: int = 0xA2,
) -> bytes:
    """The extension value for one image, which is embedded unless ``uri`` is given."""
    if uri is None:
        uri = b"data:image/svg+xml;base64," + base64.b64encode(gzip.compress(image))
    value = hashlib.sha256(image).digest() if digest is None else digest
    hashed = der(0x30, der(0x30, der(6, algorithm), der(5)), der(4, value))
    details = der(0x30, der(0x16, b"image/svg+xml"), der(0x30, hashed), der(0x30, der(0x16, uri)))
    info = der(0x30, der(2, b"\1"), der(2, b"\0"), der(2, b"\0"))
    images = der(0x30, der(0x30, details, info))
    return der(0x30, der(of, der(kind, images)))

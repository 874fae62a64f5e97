"""DKIM key records of every length."""

import base64
import hashlib

ONE = "one._domainkey.example.org"


def der(tag: int, content: bytes) -> bytes:
    """One element of ASN.1."""
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def rsa(bits: int) -> str:
    """Data that looks like an RSA key of that length; it has no private half."""
    modulus = b"\0" + ((1 << (bits - 1)) | 1).to_bytes(bits // 8, "big")
    fields = der(2, modulus) + der(2, (65537).to_bytes(3, "big"))
    return base64.b64encode(der(0x30, fields)).decode()


def digest(key: str) -> str:
    """The digest that identifies a key."""
    return hashlib.sha256(base64.b64decode(key)).hexdigest()


GOOD, SHORT, WEAK = rsa(2048), rsa(1024), rsa(512)

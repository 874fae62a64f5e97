"""The modulus length of RSA public keys in DER (RFC 8017 §A.1.1, RFC 5280 §4.1.2.7)."""

_SEQUENCE, _INTEGER, _BIT_STRING, _OBJECT_ID = 0x30, 0x02, 0x03, 0x06
_RSA_ENCRYPTION = bytes.fromhex("2a864886f70d010101")
_NULL = b"\x05\x00"


class NotRsa(ValueError):
    """The bytes are not an RSA public key; the message is the reason for people."""


def modulus_bits(key: bytes) -> int:
    """The length of the modulus in bits.

    key     SubjectPublicKeyInfo, or a bare RSAPublicKey (RFC 6376 §3.6.1 allows both)
    raises  NotRsa for anything else, also for bytes after the key
    """
    outer = _only(key, _SEQUENCE)
    if outer[:1] == bytes([_INTEGER]):
        return _bare_bits(outer)
    algorithm, rest = _element(outer, _SEQUENCE)
    identifier, parameters = _element(algorithm, _OBJECT_ID)
    if identifier != _RSA_ENCRYPTION or parameters not in (b"", _NULL):
        raise NotRsa("the key is not an RSA key")
    bits = _only(rest, _BIT_STRING)
    if bits[:1] != b"\x00":
        raise NotRsa("the key is damaged: its bit string is not a whole number of bytes")
    return _bare_bits(_only(bits[1:], _SEQUENCE))


def _bare_bits(fields: bytes) -> int:
    modulus, rest = _element(fields, _INTEGER)
    if modulus == b"\x00":
        raise NotRsa("this is a private key, not a public one")
    exponent = _only(rest, _INTEGER)
    n, e = _positive(modulus), _positive(exponent)
    if n % 2 == 0 or e % 2 == 0 or not 1 < e < n:
        raise NotRsa("the key is damaged: its modulus and exponent are not those of an RSA key")
    return n.bit_length()


def _positive(octets: bytes) -> int:
    if not octets or octets[0] & 0x80 or (octets[0] == 0 and len(octets) > 1 and octets[1] < 0x80):
        raise NotRsa("the key is damaged: a number is negative or not valid DER")
    return int.from_bytes(octets, "big")


def _only(octets: bytes, tag: int) -> bytes:
    content, rest = _element(octets, tag)
    if rest:
        raise NotRsa("the key is damaged: unexpected bytes follow it")
    return content


def _element(octets: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the first element, which must have this tag, and the remaining bytes."""
    if len(octets) < 2 or octets[0] != tag:
        raise NotRsa("the key is damaged or is not a public key")
    length, start = octets[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(octets[2:start], "big")
        if not 3 <= start <= 6 or length < 0x80 or octets[2] == 0:
            raise NotRsa("the key is damaged: a length is not valid DER")
    if len(octets) < start + length:
        raise NotRsa("the key is truncated")
    return octets[start : start + length], octets[start + length :]

"""Logotypes in certificates: the logo itself, and its hashes (RFC 3709 §4.1, RFC 9399 §4.1)."""

import base64
import binascii
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from app.protocols.bimi import logo

_SEQUENCE, _OCTETS, _OBJECT_ID, _IA5 = 0x30, 0x04, 0x06, 0x16
_SUBJECT_LOGO, _DIRECT = 0xA2, 0xA0
_ALGORITHMS = {
    bytes.fromhex("2b0e03021a"): "sha1",
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
}


class LogotypeUnreadable(ValueError):
    """The octets are no logotype extension."""


@dataclass(frozen=True, slots=True)
class Logo:
    """One image of the certificate's subject.

    hashes  (algorithm as in hashlib, digest); those of unknown algorithms are left out
    images  the image itself, unpacked, where the extension holds it (``data:``)
    """

    hashes: tuple[tuple[str, bytes], ...]
    images: tuple[bytes, ...]

    def is_of(self, image: bytes) -> bool | None:
        """Whether it is this image; None if nothing is there to compare.

        image  as it was fetched; line ends and packing make no difference
        """
        if not self.hashes and not self.images:
            return None
        plain = logo.plain(image) or image
        forms = {image, plain, _with_lf(plain)}
        if {_with_lf(one) for one in self.images} & forms:
            return True
        return any(
            hashlib.new(name, form, usedforsecurity=False).digest() == digest
            for name, digest in self.hashes
            for form in forms
        )


def parse(extension: bytes) -> tuple[Logo, ...]:
    """The images of the subject's logo in the value of the extension; none if it only refers.

    raises  Unreadable
    """
    fields = dict(_elements(_only(extension, _SEQUENCE)))
    if _SUBJECT_LOGO not in fields:
        return ()
    ((kind, data),) = _pairs(fields[_SUBJECT_LOGO], 1)
    if kind != _DIRECT:
        return ()
    images = next((content for tag, content in _elements(data) if tag == _SEQUENCE), b"")
    return tuple(_logo(content) for tag, content in _elements(images) if tag == _SEQUENCE)


def _with_lf(image: bytes) -> bytes:
    return image.replace(b"\r\n", b"\n")


def _logo(content: bytes) -> Logo:
    (details, *_) = _pairs(content, 1, exactly=False)
    if details[0] != _SEQUENCE:
        raise LogotypeUnreadable("an image without details")
    (media, hashes, places) = _pairs(details[1], 3)
    if [media[0], hashes[0], places[0]] != [_IA5, _SEQUENCE, _SEQUENCE]:
        raise LogotypeUnreadable("details that are not as they should be")
    found = [_hash(value) for tag, value in _elements(hashes[1]) if tag == _SEQUENCE]
    held = (_held(value) for tag, value in _elements(places[1]) if tag == _IA5)
    return Logo(tuple(one for one in found if one), tuple(image for image in held if image))


def _hash(content: bytes) -> tuple[str, bytes] | None:
    (algorithm, digest) = _pairs(content, 2)
    ((tag, name), *_) = _pairs(algorithm[1], 1, exactly=False)
    if (algorithm[0], digest[0], tag) != (_SEQUENCE, _OCTETS, _OBJECT_ID):
        raise LogotypeUnreadable("a hash that is not as it should be")
    known = _ALGORITHMS.get(name)
    return (known, digest[1]) if known else None


def _held(uri: bytes) -> bytes | None:
    """The image in a ``data:`` URI in base64 (RFC 2397); None if it is another URI."""
    head, comma, data = uri.partition(b",")
    if not comma or not head.lower().startswith(b"data:") or not head.lower().endswith(b";base64"):
        return None
    try:
        image = base64.b64decode(data, validate=True)
    except binascii.Error:
        raise LogotypeUnreadable("an image that is not in base64") from None
    return logo.plain(image)


def _pairs(octets: bytes, count: int, *, exactly: bool = True) -> list[tuple[int, bytes]]:
    found = list(_elements(octets))
    if len(found) < count or (exactly and len(found) > count):
        raise LogotypeUnreadable("more or fewer parts than there should be")
    return found


def _only(octets: bytes, tag: int) -> bytes:
    ((found, content),) = _pairs(octets, 1)
    if found != tag:
        raise LogotypeUnreadable("not a sequence")
    return content


def _elements(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element of DER (X.690 §8.1), one behind the other."""
    at = 0
    while at < len(octets):
        if len(octets) < at + 2:
            raise LogotypeUnreadable("it is cut off")
        tag, length, start = octets[at], octets[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            if not 1 <= size <= 4 or len(octets) < start + size:
                raise LogotypeUnreadable("a length that cannot be read")
            length, start = int.from_bytes(octets[start : start + size]), start + size
        at = start + length
        if at > len(octets):
            raise LogotypeUnreadable("it is cut off")
        yield tag, octets[start:at]

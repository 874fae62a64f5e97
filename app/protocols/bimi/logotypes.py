"""Logotypes in certificates: the images and their hashes (RFC 3709 §4.1, RFC 9399 §4.1)."""

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
    """The bytes are not a logotype extension."""


@dataclass(frozen=True, slots=True)
class Logo:
    """One image of the certificate's subject.

    hashes  (algorithm as in hashlib, digest); unknown algorithms are omitted
    images  the decompressed images that the extension embeds (``data:``)
    """

    hashes: tuple[tuple[str, bytes], ...]
    images: tuple[bytes, ...]

    def is_of(self, image: bytes) -> bool | None:
        """Whether the logo is this image; None if there is nothing to compare.

        image  as fetched; line endings and compression are ignored
        """
        if not self.hashes and not self.images:
            return None
        plain = logo.plain(image) or image
        forms = {image, plain, _with_lf(plain)}
        if {_with_lf(embedded) for embedded in self.images} & forms:
            return True
        return any(
            hashlib.new(name, form, usedforsecurity=False).digest() == digest
            for name, digest in self.hashes
            for form in forms
        )


def parse(extension: bytes) -> tuple[Logo, ...]:
    """The images of the subject logo in the extension value; none if it is only referenced.

    raises  LogotypeUnreadable
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
        raise LogotypeUnreadable("an image has no details")
    (media, hashes, places) = _pairs(details[1], 3)
    if [media[0], hashes[0], places[0]] != [_IA5, _SEQUENCE, _SEQUENCE]:
        raise LogotypeUnreadable("the image details are malformed")
    all_hashes = [_hash(value) for tag, value in _elements(hashes[1]) if tag == _SEQUENCE]
    embedded = (_embedded(value) for tag, value in _elements(places[1]) if tag == _IA5)
    return Logo(
        hashes=tuple(entry for entry in all_hashes if entry),
        images=tuple(image for image in embedded if image),
    )


def _hash(content: bytes) -> tuple[str, bytes] | None:
    (algorithm, digest) = _pairs(content, 2)
    ((tag, name), *_) = _pairs(algorithm[1], 1, exactly=False)
    if (algorithm[0], digest[0], tag) != (_SEQUENCE, _OCTETS, _OBJECT_ID):
        raise LogotypeUnreadable("an image hash is malformed")
    algorithm_name = _ALGORITHMS.get(name)
    return (algorithm_name, digest[1]) if algorithm_name else None


def _embedded(uri: bytes) -> bytes | None:
    """The image in a base64 ``data:`` URI (RFC 2397); None for any other URI."""
    head, comma, data = uri.partition(b",")
    if not comma or not head.lower().startswith(b"data:") or not head.lower().endswith(b";base64"):
        return None
    try:
        image = base64.b64decode(data, validate=True)
    except binascii.Error:
        raise LogotypeUnreadable("an embedded image is not base64") from None
    return logo.plain(image)


def _pairs(octets: bytes, count: int, *, exactly: bool = True) -> list[tuple[int, bytes]]:
    elements = list(_elements(octets))
    if len(elements) < count or (exactly and len(elements) > count):
        raise LogotypeUnreadable("an element has the wrong number of parts")
    return elements


def _only(octets: bytes, tag: int) -> bytes:
    ((actual_tag, content),) = _pairs(octets, 1)
    if actual_tag != tag:
        raise LogotypeUnreadable("not a sequence")
    return content


def _elements(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """The tag and content of each consecutive DER element (X.690 §8.1)."""
    at = 0
    while at < len(octets):
        if len(octets) < at + 2:
            raise LogotypeUnreadable("an element is truncated")
        tag, length, start = octets[at], octets[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            if not 1 <= size <= 4 or len(octets) < start + size:
                raise LogotypeUnreadable("an element length is malformed")
            length, start = int.from_bytes(octets[start : start + size]), start + size
        at = start + length
        if at > len(octets):
            raise LogotypeUnreadable("an element is truncated")
        yield tag, octets[start:at]

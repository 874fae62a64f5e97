"""Logotypes: the parsed extension, and the comparison with an image."""

import base64
import gzip
import hashlib

import pytest

from app.protocols.bimi import logotypes
from app.protocols.bimi.logotypes import Logo
from tests.support.logotypes import der, logotype

IMAGE = b"<svg>\n<title>a</title>\n</svg>"
UNKNOWN = bytes.fromhex("2a0304")


def the_logo(extension: bytes) -> Logo:
    """The only logo in the extension."""
    (logo,) = logotypes.parse(extension)
    return logo


def test_extension_contains_image_and_hash() -> None:
    logo = the_logo(logotype(IMAGE))
    assert logo == Logo((("sha256", hashlib.sha256(IMAGE).digest()),), (IMAGE,))


@pytest.mark.parametrize(
    "served",
    [IMAGE, gzip.compress(IMAGE), IMAGE.replace(b"\n", b"\r\n")],
    ids=["plain", "packed", "CR LF"],
)
@pytest.mark.parametrize(
    "extension",
    [
        logotype(IMAGE),
        logotype(IMAGE, digest=b"?"),  # the embedded image takes precedence
        logotype(IMAGE, b"https://a.test/logo.svg"),  # there is only a hash
    ],
)
def test_compression_and_line_endings_are_ignored(served: bytes, extension: bytes) -> None:
    assert the_logo(extension).is_of(served) is True


def test_hash_may_cover_the_compressed_image() -> None:
    packed = gzip.compress(IMAGE)
    extension = logotype(IMAGE, b"https://a.test/l", digest=hashlib.sha256(packed).digest())
    assert the_logo(extension).is_of(packed) is True


@pytest.mark.parametrize("uri", [None, b"https://a.test/logo.svg"])
def test_different_image_does_not_match(uri: bytes | None) -> None:
    assert the_logo(logotype(IMAGE, uri)).is_of(IMAGE + b" ") is False


def test_logo_without_image_and_known_hash_cannot_be_compared() -> None:
    extension = logotype(IMAGE, b"https://a.test/logo.svg", algorithm=UNKNOWN)
    assert the_logo(extension).is_of(IMAGE) is None


@pytest.mark.parametrize("extension", [logotype(IMAGE, kind=0xA1), logotype(IMAGE, of=0xA1)])
def test_indirect_or_foreign_logos_are_ignored(extension: bytes) -> None:
    assert logotypes.parse(extension) == ()


def test_image_that_cannot_be_decompressed_is_ignored() -> None:
    uri = b"data:image/svg+xml;base64," + base64.b64encode(gzip.compress(IMAGE)[:4] + b"\xff")
    assert the_logo(logotype(IMAGE, uri)).images == ()


@pytest.mark.parametrize("size", range(len(logotype(b"x"))))
def test_truncated_extension_is_unreadable(size: int) -> None:
    with pytest.raises(logotypes.LogotypeUnreadable):
        logotypes.parse(logotype(b"x")[:size])


@pytest.mark.parametrize(
    "extension",
    [
        der(0x31),
        der(0x30, der(0xA2)),
        der(0x30, der(0xA2, der(0xA0, der(0x30, der(0x30, der(0x31)))))),
        logotype(IMAGE, b"data:;base64,!"),
        b"\x30\x85\1\1\1\1\1",
    ],
)
def test_malformed_extension_is_unreadable(extension: bytes) -> None:
    with pytest.raises(logotypes.LogotypeUnreadable):
        logotypes.parse(extension)

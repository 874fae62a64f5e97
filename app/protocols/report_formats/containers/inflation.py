"""Decompression within the limits of one file: gzip, zlib, bzip2, xz and the entries of zip files.

Sizes that a file states are not trusted: the inflated size is measured before anything is stored.
"""

import bz2
import lzma
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from app.protocols.report_formats.limits import KIB, MIB, Limits, ReportRejected

Compression = Literal["gzip", "zlib", "bzip2", "xz"]

GZIP = b"\x1f\x8b\x08"
TRAILING_DATA = "data_after_archive"  # a code of ``deviations.WARNINGS``

_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)")
_XZ = b"\xfd7zXZ\0"
_FIRST_BYTES = (b"\x1f", b"\xfd", b"B", b"\x78")
_PIECE = 64 * KIB
_GZIP_BITS, _ZLIB_BITS, _DEFLATE_BITS = 31, 15, -15
_MAX_MEMBERS = 4_000  # in one gzip file
_XZ_MEMORY = 64 * MIB
_PADDING = re.compile(rb"[\0\r\n]*")


@dataclass(frozen=True, slots=True)
class Inflated:
    """The contents of a compressed file.

    documents  one, or several if complete documents were concatenated
    warnings   deviations that were tolerated
    """

    documents: Sequence[bytes]
    warnings: tuple[str, ...] = ()


def compression(content: bytes) -> Compression | None:
    """How the content is compressed, by its first bytes."""
    if content[:1] not in _FIRST_BYTES:
        return None
    if content.startswith(GZIP):
        return "gzip"
    if content.startswith(_XZ):
        return "xz"
    if _BZIP2.match(content):
        return "bzip2"
    is_zlib = content[:1] == b"\x78" and int.from_bytes(content[:2]) % 31 == 0
    return "zlib" if is_zlib and not content[:64].isascii() else None


class Inflation:
    """Inflates the contents of one file; their sizes count together.

    size  of the file in bytes
    """

    def __init__(self, limits: Limits, size: int) -> None:
        self._limits, self._left = limits, limits.inflated
        self._left_by_ratio = max(limits.ratio * size, limits.ratio_from)

    def charge(self, size: int) -> None:
        """Count content that was decoded in another way.

        raises  ReportRejected if all contents together exceed the limit
        """
        if size > self._left:
            raise self._too_large(size)
        self._left -= size

    def decompress(self, content: bytes, by: Compression) -> Inflated:
        """The contents of a compressed file.

        raises  ReportRejected if it is damaged or exceeds a limit
        """
        if by == "gzip":
            return self._gzip(content)
        if by == "zlib":
            document, end = self._inflate(content, 0, _ZLIB_BITS)
            is_clean = _PADDING.match(content, end).end() == len(content)  # type: ignore[union-attr]
            return Inflated([document], () if is_clean else (TRAILING_DATA,))
        try:
            return Inflated([self._stream(content, by)])
        except (OSError, EOFError, lzma.LZMAError):
            raise _damaged() from None

    def entry(self, content: bytes) -> bytes:
        """The inflated content of an entry of a zip archive."""
        return self._inflate(content, 0, _DEFLATE_BITS)[0]

    def _gzip(self, content: bytes) -> Inflated:
        """All members of the file (RFC 1952 §2.2); complete documents stay separate."""
        documents: list[list[bytes]] = []
        position, count = 0, 0
        while content.startswith(GZIP, position):
            count += 1
            if count > _MAX_MEMBERS:
                raise ReportRejected(
                    "too_many_members", f"The gzip file has more than {_MAX_MEMBERS} members"
                )
            member, end = self._inflate(content, position, _GZIP_BITS)
            if documents and not _begins_document(documents[-1][-1], member):
                documents[-1].append(member)
            else:
                documents.append([member])
            position = _after_padding(content, end)
        warnings = () if position == len(content) else (TRAILING_DATA,)
        return Inflated([b"".join(members) for members in documents], warnings)

    def _inflate(self, content: bytes, start: int, bits: int) -> tuple[bytes, int]:
        """The inflated content, and the end of the compressed data."""
        try:
            size, end, whole = self._measure(content, start, bits)
            self._count(size)
            if len(whole) == size:
                return whole, end
            data = memoryview(content)[start:end]
            return zlib.decompress(data, bits, max(size, 1)), end
        except zlib.error:
            raise _damaged() from None

    def _measure(self, content: bytes, start: int, bits: int) -> tuple[int, int, bytes]:
        """The inflated size, the end of the compressed data, and the last inflated piece.

        The other pieces are not stored.
        """
        inflater, size, data = zlib.decompressobj(bits), 0, memoryview(content)
        piece = b""
        most, position, pending = self._most(len(content) - start), start, b""
        while not inflater.eof:
            if not pending:
                pending = bytes(data[position : position + _PIECE])
                position += len(pending)
            is_fed = bool(pending)
            piece = inflater.decompress(pending, _PIECE)
            pending = inflater.unconsumed_tail
            size += len(piece)
            if size > most:
                raise self._too_large(size)
            if not piece and not is_fed and not inflater.eof:
                raise ReportRejected("damaged", "The compressed data is truncated")
        return size, position - len(inflater.unused_data), piece

    def _stream(self, content: bytes, by: Compression) -> bytes:
        """The inflated content of all streams in a bzip2 or xz file."""
        inflated, most = bytearray(), self._most(len(content))
        for piece in _pieces(content, by):
            inflated += piece
            if len(inflated) > most:
                raise self._too_large(len(inflated))
        self._count(len(inflated))
        return bytes(inflated)

    def _most(self, size: int) -> int:
        by_ratio = max(self._limits.ratio * size, self._limits.ratio_from)
        return min(self._left, self._left_by_ratio, by_ratio)

    def _count(self, size: int) -> None:
        self._left -= size
        self._left_by_ratio -= size

    def _too_large(self, size: int) -> ReportRejected:
        if size > self._left:
            return ReportRejected(
                "too_large", f"The file inflates to more than {self._limits.inflated} bytes"
            )
        return ReportRejected(
            "ratio", f"The file inflates to more than {self._limits.ratio} times its size"
        )


def _pieces(content: bytes, by: Compression) -> Iterator[bytes]:
    position, data = 0, memoryview(content)
    while position < len(content):
        inflater = (
            bz2.BZ2Decompressor()
            if by == "bzip2"
            else lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        )
        while not inflater.eof:
            pending = b""
            if inflater.needs_input:
                pending = bytes(data[position : position + _PIECE])
                position += len(pending)
                if not pending:
                    raise ReportRejected("damaged", "The compressed data is truncated")
            yield inflater.decompress(pending, _PIECE)
        position = _after_padding(content, position - len(inflater.unused_data))


def _begins_document(before: bytes, member: bytes) -> bool:
    """Whether a gzip member begins a document of its own, after a complete one."""
    end, start = before[-64:].rstrip(), member[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    return (
        start.startswith(b"<?xml")
        or (end.endswith(b"feedback>") and start.startswith(b"<"))
        or (end.endswith(b"}") and start.startswith(b"{"))
    )


def _after_padding(content: bytes, position: int) -> int:
    padding = _PADDING.match(content, position)
    return padding.end() if padding else position


def _damaged() -> ReportRejected:
    return ReportRejected("damaged", "The compressed data is corrupt")

"""The entries of a zip archive, read from its directory (PKWARE APPNOTE 6.3.10 §4.3).

``zipfile`` is not used: before Python 3.11.8 it reads entries that overlap, and it creates an
object for each directory entry before they can be counted.
"""

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.protocols.report_formats.limits import Limits, ReportRejected

STORED, DEFLATED = 0, 8

_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MAX_COMMENT = 0xFFFF
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_UNIX = 3


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One file in the archive, still compressed.

    crc  CRC-32 of the inflated content
    """

    data: bytes
    is_deflated: bool
    crc: int


@dataclass(frozen=True, slots=True)
class _Listed:
    """An entry in the directory of the archive."""

    method: int
    crc: int
    size: int
    offset: int


def entries(archive: bytes, limits: Limits) -> Iterator[ZipEntry]:
    """The files in directory order, without directories; no two of them overlap.

    raises  ReportRejected before the first file if any of them is invalid
    """
    listed = list(_directory(archive, limits))
    if not listed:
        raise ReportRejected("no_report", "the zip archive contains no file")
    if len(listed) > limits.zip_used:
        raise ReportRejected(
            "too_many_members", f"the zip archive contains more than {limits.zip_used} files"
        )
    ranges = [_range(archive, entry) for entry in listed]
    end = 0
    for start, _, stop in sorted(ranges):
        if start < end or stop > len(archive):
            raise ReportRejected("damaged", "files in the zip archive overlap or exceed its end")
        end = stop
    for entry, (_, data, stop) in zip(listed, ranges, strict=True):
        yield ZipEntry(archive[data:stop], entry.method == DEFLATED, entry.crc)


def _directory(archive: bytes, limits: Limits) -> Iterator[_Listed]:
    end = archive.rfind(b"PK\x05\x06", max(0, len(archive) - _MAX_COMMENT - _END.size))
    if end < 0 or end + _END.size > len(archive):
        raise ReportRejected("damaged", "the zip archive has no directory")
    _, disk, first, here, count, size, offset, _ = _END.unpack_from(archive, end)
    if 0xFFFFFFFF in (size, offset) or disk or first or here != count:
        raise ReportRejected("damaged", "the zip archive is split or uses ZIP64")
    if count > limits.zip_entries:
        raise ReportRejected(
            "too_many_members", f"the zip archive has more than {limits.zip_entries} entries"
        )
    if offset + size > end:
        raise ReportRejected("damaged", "the zip directory exceeds the archive")
    for _ in range(count):
        if offset + _ENTRY.size > end:
            raise ReportRejected("damaged", "the zip directory is truncated")
        fields = _ENTRY.unpack_from(archive, offset)
        name = archive[offset + _ENTRY.size : offset + _ENTRY.size + fields[10]]
        offset += _ENTRY.size + sum(fields[10:13])
        if not name.endswith(b"/"):
            yield _checked(fields)


def _checked(fields: tuple[Any, ...]) -> _Listed:
    """The entry, which must be a regular, unencrypted file."""
    signature, made_by, _, flags, method = fields[:5]
    if signature != b"PK\x01\x02":
        raise ReportRejected("damaged", "the zip directory is corrupt")
    if flags & _ENCRYPTED:
        raise ReportRejected("encrypted", "a file in the zip archive is encrypted")
    if made_by >> 8 == _UNIX and stat.S_ISLNK(fields[15] >> 16):
        raise ReportRejected("symlink", "a file in the zip archive is a symbolic link")
    if method not in (STORED, DEFLATED):
        raise ReportRejected(
            "damaged", "a file in the zip archive uses an unsupported compression method"
        )
    return _Listed(method, crc=fields[7], size=fields[8], offset=fields[16])


def _range(archive: bytes, listed: _Listed) -> tuple[int, int, int]:
    """The offsets of the local header, of the data, and of the end of the data."""
    if listed.offset + _LOCAL.size > len(archive):
        raise ReportRejected("damaged", "a file exceeds the end of the zip archive")
    fields = _LOCAL.unpack_from(archive, listed.offset)
    if fields[0] != b"PK\x03\x04":
        raise ReportRejected("damaged", "a file in the zip archive has no header")
    data = listed.offset + _LOCAL.size + fields[9] + fields[10]
    return listed.offset, data, data + listed.size

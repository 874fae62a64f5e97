"""The entries of a zip archive, read from its directory (PKWARE APPNOTE 6.3.10 §4.3).

``zipfile`` is not used: before Python 3.11.8 it reads entries that overlap, and it creates an
object for each directory entry before they can be counted.
"""

import stat
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from app.protocols.report_formats.limits import FileRejected, Limits, ReportRejected

STORED, DEFLATED = 0, 8

_END = struct.Struct("<4s4H2LH")
_LOCATOR64 = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_FIELD = struct.Struct("<2H")
_MAX_COMMENT = 0xFFFF
_IN_64 = 0xFFFFFFFF  # the value is in the ZIP64 field
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_UNIX = 3


class ZipEntry(NamedTuple):
    """One file in the archive, still compressed.

    crc       CRC-32 of the inflated content
    rejected  why it cannot be read; None if it can
    """

    name: bytes
    data: bytes = b""
    is_deflated: bool = False
    crc: int = 0
    rejected: ReportRejected | None = None


class _Listed(NamedTuple):
    """An entry in the directory of the archive."""

    name: bytes
    method: int
    crc: int
    size: int
    offset: int
    rejected: ReportRejected | None


def entries(archive: bytes, limits: Limits) -> Iterator[ZipEntry]:
    """The files in directory order, without directories; no two of them overlap.

    raises  ReportRejected before the first file if the archive is damaged or has too many entries
    """
    listed = list(_directory(archive, limits))
    ranges = [_range(archive, entry) for entry in listed]
    end = 0
    for start, _, stop in sorted(ranges):
        if start < end or stop > len(archive):
            raise ReportRejected("damaged", "Files in the zip archive overlap or exceed its end")
        end = stop
    for entry, (_, data, stop) in zip(listed, ranges, strict=True):
        if entry.rejected:
            yield ZipEntry(entry.name, rejected=entry.rejected)
        else:
            yield ZipEntry(
                name=entry.name,
                data=archive[data:stop],
                is_deflated=entry.method == DEFLATED,
                crc=entry.crc,
            )


def _directory(archive: bytes, limits: Limits) -> Iterator[_Listed]:
    count, size, offset, end = _end(archive)
    if count > limits.archive_entries:
        raise FileRejected(
            "too_many_members", f"The zip archive has more than {limits.archive_entries} entries"
        )
    if offset + size > end:
        raise ReportRejected("damaged", "The zip directory exceeds the archive")
    for _ in range(count):
        if offset + _ENTRY.size > end:
            raise ReportRejected("damaged", "The zip directory is truncated")
        fields = _ENTRY.unpack_from(archive, offset)
        names = offset + _ENTRY.size
        extra = names + fields[10]
        offset = extra + fields[11] + fields[12]
        name = archive[names:extra]
        if not name.endswith(b"/"):
            yield _listed(name, fields, archive[extra : extra + fields[11]])


def _end(archive: bytes) -> tuple[int, int, int, int]:
    """The number of entries, size and offset of the directory, and the offset of its end record."""
    end = archive.rfind(b"PK\x05\x06", max(0, len(archive) - _MAX_COMMENT - _END.size))
    if end < 0 or end + _END.size > len(archive):
        raise ReportRejected("damaged", "The zip archive has no directory; it is truncated")
    _, disk, first, here, count, size, offset, _ = _END.unpack_from(archive, end)
    locator = end - _LOCATOR64.size
    if locator >= 0 and archive.startswith(b"PK\x06\x07", locator):
        end = _LOCATOR64.unpack_from(archive, locator)[2]
        if end + _END64.size > locator or not archive.startswith(b"PK\x06\x06", end):
            raise ReportRejected("damaged", "The ZIP64 directory is corrupt")
        fields = _END64.unpack_from(archive, end)
        disk, first, here, count, size, offset = fields[4:10]
    if disk or first or here != count or _IN_64 in (size, offset):
        raise ReportRejected("damaged", "The zip archive is split into several files")
    return count, size, offset, end


def _listed(name: bytes, fields: tuple[Any, ...], extra: bytes) -> _Listed:
    """The entry; it is rejected unless it is a regular, unencrypted file."""
    signature, made_by, _, flags, method = fields[:5]
    if signature != b"PK\x01\x02":
        raise ReportRejected("damaged", "The zip directory is corrupt")
    rejected = None
    if flags & _ENCRYPTED:
        rejected = ReportRejected(
            "encrypted", "A file in the zip archive is encrypted. Send it without a password"
        )
    elif made_by >> 8 == _UNIX and stat.S_ISLNK(fields[15] >> 16):
        rejected = ReportRejected("symlink", "A file in the zip archive is a symbolic link")
    elif method not in (STORED, DEFLATED):
        rejected = ReportRejected(
            "damaged",
            f"A file in the zip archive uses compression method {method}, which is not supported. "
            "Create the archive again with the method deflate",
        )
    size, offset = _sizes64(fields, extra)
    return _Listed(
        name=name, method=method, crc=fields[7], size=size, offset=offset, rejected=rejected
    )


def _sizes64(fields: tuple[Any, ...], extra: bytes) -> tuple[int, int]:
    """The compressed size and the offset, from the ZIP64 field where the entry refers to it."""
    size, inflated, offset = fields[8], fields[9], fields[16]
    if _IN_64 not in (size, inflated, offset):
        return size, offset
    values = _zip64_values(extra)
    if inflated == _IN_64:
        next(values, None)
    if size == _IN_64:
        size = next(values, size)
    if offset == _IN_64:
        offset = next(values, offset)
    return size, offset


def _zip64_values(extra: bytes) -> Iterator[int]:
    position = 0
    while position + _FIELD.size <= len(extra):
        kind, length = _FIELD.unpack_from(extra, position)
        position += _FIELD.size
        if kind == 1:
            for start in range(position, min(position + length, len(extra)) - 7, 8):
                yield int.from_bytes(extra[start : start + 8], "little")
            return
        position += length


def _range(archive: bytes, listed: _Listed) -> tuple[int, int, int]:
    """The offsets of the local header, of the data, and of the end of the data."""
    if listed.offset + _LOCAL.size > len(archive):
        raise ReportRejected("damaged", "A file exceeds the end of the zip archive")
    fields = _LOCAL.unpack_from(archive, listed.offset)
    if fields[0] != b"PK\x03\x04":
        raise ReportRejected("damaged", "A file in the zip archive has no header")
    data = listed.offset + _LOCAL.size + fields[9] + fields[10]
    return listed.offset, data, data + listed.size

"""The entries of a zip archive, by its directory (PKWARE APPNOTE 6.3.10 §4.3).

``zipfile`` is not used: before Python 3.11.8 it reads entries that overlap, and it makes an object
of each entry of a directory before anybody can count them.
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
    """One file as it lies in the archive.

    crc  CRC-32 of what it inflates to
    """

    data: bytes
    is_deflated: bool
    crc: int


@dataclass(frozen=True, slots=True)
class _Listed:
    """An entry of the directory."""

    method: int
    crc: int
    size: int
    offset: int


def entries(archive: bytes, limits: Limits) -> Iterator[ZipEntry]:
    """Its files, in the directory's order, without directories; no two share an octet.

    raises  Refused for what is wrong with any of them, before the first
    """
    listed = list(_directory(archive, limits))
    if not listed:
        raise ReportRejected("no_report", "the zip holds no file")
    if len(listed) > limits.zip_used:
        raise ReportRejected("too_many_members", f"the zip holds more than {limits.zip_used} files")
    ranges = [_range(archive, one) for one in listed]
    end = 0
    for start, _, stop in sorted(ranges):
        if start < end or stop > len(archive):
            raise ReportRejected("damaged", "entries of the zip overlap or lie outside of it")
        end = stop
    for one, (_, data, stop) in zip(listed, ranges, strict=True):
        yield ZipEntry(archive[data:stop], one.method == DEFLATED, one.crc)


def _directory(archive: bytes, limits: Limits) -> Iterator[_Listed]:
    place = archive.rfind(b"PK\x05\x06", max(0, len(archive) - _MAX_COMMENT - _END.size))
    if place < 0 or place + _END.size > len(archive):
        raise ReportRejected("damaged", "the zip has no directory")
    _, disk, first, here, count, size, offset, _ = _END.unpack_from(archive, place)
    if 0xFFFFFFFF in (size, offset) or disk or first or here != count:
        raise ReportRejected("damaged", "the zip is in parts or has 64-bit sizes")
    if count > limits.zip_entries:
        raise ReportRejected(
            "too_many_members", f"the zip has more than {limits.zip_entries} entries"
        )
    if offset + size > place:
        raise ReportRejected("damaged", "the zip's directory lies outside of it")
    for _ in range(count):
        if offset + _ENTRY.size > place:
            raise ReportRejected("damaged", "the zip's directory is cut off")
        fields = _ENTRY.unpack_from(archive, offset)
        name = archive[offset + _ENTRY.size : offset + _ENTRY.size + fields[10]]
        offset += _ENTRY.size + sum(fields[10:13])
        if not name.endswith(b"/"):
            yield _checked(fields)


def _checked(fields: tuple[Any, ...]) -> _Listed:
    """The entry, if it is a plain file of ours to read."""
    signature, made_by, _, flags, method = fields[:5]
    if signature != b"PK\x01\x02":
        raise ReportRejected("damaged", "the zip's directory is broken")
    if flags & _ENCRYPTED:
        raise ReportRejected("encrypted", "an entry of the zip is encrypted")
    if made_by >> 8 == _UNIX and stat.S_ISLNK(fields[15] >> 16):
        raise ReportRejected("symlink", "an entry of the zip is a symbolic link")
    if method not in (STORED, DEFLATED):
        raise ReportRejected("damaged", "an entry of the zip is compressed in an unknown way")
    return _Listed(method, crc=fields[7], size=fields[8], offset=fields[16])


def _range(archive: bytes, listed: _Listed) -> tuple[int, int, int]:
    """Where its header begins, where its data begins, and where that ends."""
    if listed.offset + _LOCAL.size > len(archive):
        raise ReportRejected("damaged", "an entry lies outside of the zip")
    fields = _LOCAL.unpack_from(archive, listed.offset)
    if fields[0] != b"PK\x03\x04":
        raise ReportRejected("damaged", "an entry of the zip has no header")
    data = listed.offset + _LOCAL.size + fields[9] + fields[10]
    return listed.offset, data, data + listed.size

"""The files in a tar archive (POSIX.1-2017, pax, ustar interchange format)."""

from collections.abc import Iterator

from app.protocols.report_formats.limits import FileRejected, Limits, ReportRejected

_BLOCK = 512
_REGULAR = b"0\0007"
_END = bytes(_BLOCK)


def is_tar(content: bytes) -> bool:
    """Whether the content begins with the header of a tar archive."""
    return content[257:262] == b"ustar"


def entries(archive: bytes, limits: Limits) -> Iterator[bytes]:
    """The contents of the regular files, in order.

    raises  ReportRejected if the archive is damaged or has too many entries
    """
    position = count = 0
    while (header := archive[position : position + _BLOCK]) and header != _END:
        count += 1
        if count > limits.archive_entries:
            raise FileRejected(
                "too_many_members",
                f"The tar archive has more than {limits.archive_entries} entries",
            )
        if len(header) < _BLOCK or not is_tar(header):
            raise ReportRejected("damaged", "The tar archive is damaged")
        start, size = position + _BLOCK, _size(header[124:136])
        if start + size > len(archive):
            raise ReportRejected("damaged", "The tar archive is truncated")
        if header[156] in _REGULAR:
            yield archive[start : start + size]
        position = start + -(-size // _BLOCK) * _BLOCK


def _size(field: bytes) -> int:
    if field[0] & 0x80:
        return int.from_bytes(field[1:])
    digits = field.strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        raise ReportRejected("damaged", "The tar archive is damaged")
    return int(digits, 8)

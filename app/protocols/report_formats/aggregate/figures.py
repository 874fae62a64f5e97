"""The figures of an aggregate report, by which a repeated report is recognized."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from app.protocols.report_formats.deviations import SkippedRecords


def digest(records: Iterable[Sequence[Any]], skipped: SkippedRecords | None = None) -> bytes:
    """The digest of the sums of the messages, with the number of skipped records.

    It does not depend on the order of records, on how messages are divided among them, on records
    without messages, or on texts such as the contact.

    records  ``Record`` or its first six fields
    """
    sums: dict[tuple[Any, ...], int] = {}
    for record in records:
        source_ip, count, disposition, dkim, spf, header_from = record[:6]
        key = (source_ip, header_from, disposition, dkim, spf)
        sums[key] = sums.get(key, 0) + count
    figures: list[Any] = sorted(item for item in sums.items() if item[1])
    if skipped and skipped.count:
        figures.append((skipped.count, skipped.messages))
    return hashlib.sha256(repr(figures).encode()).digest()

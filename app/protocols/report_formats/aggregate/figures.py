"""The figures of an aggregate report, by which a repeated report is recognized."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from app.protocols.report_formats.deviations import SkippedRecords


def digest(records: Iterable[Sequence[Any]], skipped: SkippedRecords | None = None) -> bytes:
    """The digest of the sums of the messages, with the number of skipped records.

    It does not depend on the order of records, on how messages are divided among them, on records
    without messages, or on texts such as the contact.

    records  ``Record`` or its first six fields
    """
    figures: list[Any] = sorted(item for item in sums(records).items() if item[1])
    if skipped and skipped.count:
        figures.append((skipped.count, skipped.messages))
    return hashlib.sha256(repr(figures).encode()).digest()


def sums(records: Iterable[Sequence[Any]]) -> Counter[tuple[Any, ...]]:
    """The messages by source address, author's domain, disposition and results.

    records  as for ``digest``
    """
    messages = Counter[tuple[Any, ...]]()
    for record in records:
        source_ip, count, disposition, dkim, spf, header_from = record[:6]
        messages[source_ip, header_from, disposition, dkim, spf] += count
    return messages

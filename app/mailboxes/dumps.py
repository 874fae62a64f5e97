"""Large dumps of parsedmarc's output, one JSON document per line, in pieces that can be imported.

All records of one report are in the same piece, because a report must be complete. A dump has the
same pieces each time, so that importing it again imports nothing twice.
"""

import json
import mmap
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.protocols.report_formats.limits import LIMITS, MIB
from app.protocols.report_formats.parsedmarc import documents, shapes

PIECE_BYTES = 8 * MIB
_BEGINNING = 64 * 1024
_BOM = b"\xef\xbb\xbf"

Span = tuple[int, int]


def is_dump(path: Path) -> bool:
    """Return whether a file is output of parsedmarc with several lines, each with a document.

    raises  OSError
    """
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
        file.seek(0)
        first, second = file.readline(LIMITS.message), file.readline(1)
    if not (documents.is_output(beginning) and second):
        return False
    return _keys(first.removeprefix(_BOM)) is not None


def pieces(path: Path) -> Sequence[Sequence[Span]]:
    """Return the lines of each piece as ranges of bytes; one piece if the dump needs no division.

    raises  OSError
    """
    index = _Index()
    with path.open("rb") as file:
        size, values = 0, 0
        for line in file:
            index.add(size, line)
            size += len(line)
            values += _value_count(line)
    if size <= LIMITS.message and values <= LIMITS.json_values:
        return [[(0, size)]]
    with _mapped(path) as content:
        return list(_packed(index.reports(), content))


def read(path: Path, spans: Iterable[Span]) -> bytes:
    """Return the lines of a piece; raises OSError."""
    with path.open("rb") as file:
        lines = []
        for start, end in spans:
            file.seek(start)
            lines.append(file.read(end - start))
    return b"".join(lines)


class _Index:
    """The lines of a dump, grouped by report.

    A line whose records belong to several reports, as in search results, joins them to one group.
    """

    def __init__(self) -> None:
        self._starts, self._ends, self._groups = array("Q"), array("Q"), array("L")
        self._parents: list[int] = []
        self._by_key: dict[str, int] = {}

    def add(self, start: int, line: bytes) -> None:
        """Add the line that starts there."""
        self._starts.append(start)
        self._ends.append(start + len(line))
        group = self._new()
        for key in _keys(line.removeprefix(_BOM) if start == 0 else line) or ():
            self._join(group, self._by_key.setdefault(key, group))
        self._groups.append(group)

    def reports(self) -> Iterator[Sequence[Span]]:
        """Yield the lines of each group, in the order of the first line of each."""
        roots = [self._root(group) for group in self._groups]
        lines = sorted(range(len(roots)), key=roots.__getitem__)
        spans: list[Span] = []
        last = -1
        for line in lines:
            if roots[line] != last and spans:
                yield spans
                spans = []
            last = roots[line]
            spans.append((self._starts[line], self._ends[line]))
        if spans:
            yield spans

    def _new(self) -> int:
        self._parents.append(len(self._parents))
        return self._parents[-1]

    def _root(self, group: int) -> int:
        while self._parents[group] != group:
            self._parents[group] = self._parents[self._parents[group]]
            group = self._parents[group]
        return group

    def _join(self, first: int, second: int) -> None:
        """Join two groups; the earlier one is the root."""
        roots = sorted((self._root(first), self._root(second)))
        self._parents[roots[1]] = roots[0]


def _packed(reports: Iterable[Sequence[Span]], content: Any) -> Iterator[Sequence[Span]]:
    """Yield pieces of whole reports; a line that is damaged is a piece of its own."""
    piece: list[Span] = []
    size = values = 0
    for spans in reports:
        lines = [content[start:end] for start, end in spans]
        report_size, report_values = sum(map(len, lines)), sum(map(_value_count, lines))
        if _keys(lines[0].removeprefix(_BOM)) is None:
            yield spans
            continue
        is_full = size + report_size > PIECE_BYTES or values + report_values > LIMITS.json_values
        if piece and is_full:
            yield piece
            piece, size, values = [], 0, 0
        piece += spans
        size, values = size + report_size, values + report_values
    if piece:
        yield piece


def _keys(line: bytes) -> set[str] | None:
    """Return the keys of the reports that the records of a line belong to; None if it is damaged.

    A blank line, an action of the bulk format and a complete report have no keys.
    """
    if not line.strip():
        return set()
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    records = filter(shapes.is_record, shapes.unpacked(value))
    return {documents.key_of(shapes.report_of(record)) for record in records}


def _value_count(line: bytes) -> int:
    """Return what the reader counts as values of JSON."""
    return sum(map(line.count, (b",", b"[", b"{")))


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content

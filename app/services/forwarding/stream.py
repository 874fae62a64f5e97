"""The stream of an account's records in the order in which they were stored.

A reader continues after the position that it has reached, and gets every record at least once:
``record_log`` numbers entries so that none appears before one that was read.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.transactions import transaction
from app.errors import InvalidRequest
from app.models import Account, RecordLogEntry
from app.protocols import timestamps
from app.services.forwarding import kinds, records
from app.services.forwarding.records import Record, Request, Slice
from app.services.record_log import record_log

MAX_ENTRIES = 200  # that one read looks at
MAX_NUMBER = 2**62


class Position(NamedTuple):
    """The next record to read: its entry by number, and its position in the entry."""

    sequence: int
    offset: int

    def text(self) -> str:
        """Return the position as a cursor."""
        return f"{self.sequence}.{self.offset}"


START = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Batch:
    """Records, and the position behind them.

    has_more  whether further records may be read immediately
    """

    records: Sequence[Record]
    position: Position
    has_more: bool


def parse_cursor(text: str | None, field: str = "since") -> Position:
    """Return the position of a cursor; without one, the start.

    raises  InvalidRequest
    """
    if not text:
        return START
    parts = text.split(".")
    is_valid = len(parts) == 2 and all(part.isascii() and part.isdigit() for part in parts)
    if is_valid and len(text) <= 40:
        sequence, offset = map(int, parts)
        if max(sequence, offset) <= MAX_NUMBER:
            return Position(sequence, offset)
    raise InvalidRequest.field(field, "enter the cursor of a record that was exported before")


def read(account_id: UUID, position: Position, names: Collection[str], limit: int) -> Batch:
    """Return up to ``limit`` records of these kinds from the position on.

    effects  numbers new entries of the account
    """
    record_log.number(account_id)
    with transaction(readonly=True, snapshot=True) as session:
        return _read(session, account_id, position, names, limit)


def samples(account_id: UUID, position: Position, names: Collection[str]) -> Sequence[Record]:
    """Return a record of each kind of entry: of the newest before the position, and of the newest.

    A record before the position may be of the entry that is partly read.
    """
    bounds = (position.sequence + bool(position.offset), MAX_NUMBER)
    with transaction(readonly=True, snapshot=True) as session:
        result: list[Record] = []
        for kind in sorted(kinds.entry_kinds(names)):
            for bound in bounds:
                result += _sample(session, account_id, kind, bound)
    return [record for record in result if record["kind"] in names]


def _sample(session: Session, account_id: UUID, kind: str, bound: int) -> list[Record]:
    """Return the first record of the newest entry of the kind before the sequence number."""
    entry = session.scalar(
        select(RecordLogEntry)
        .where(
            RecordLogEntry.account_id == account_id,
            RecordLogEntry.kind == kind,
            RecordLogEntry.sequence < bound,
        )
        .order_by(RecordLogEntry.sequence.desc())
        .limit(1)
    )
    if entry is None:
        return []
    loaded = _load(session, account_id, [entry], START, 1)
    items = loaded.get(entry.number, Slice(0, ())).records
    return [_of_entry(record, entry, 0) for record in islice(items, 1)]


def iterate(account_id: UUID, position: Position, names: Collection[str]) -> Iterator[Batch]:
    """Yield batches until all stored records were read; each is a separate transaction."""
    has_more = True
    while has_more:
        batch = read(account_id, position, names, MAX_ENTRIES)
        position, has_more = batch.position, batch.has_more
        yield batch


def _read(
    session: Session, account_id: UUID, position: Position, names: Collection[str], limit: int
) -> Batch:
    entries = session.scalars(
        select(RecordLogEntry)
        .where(
            RecordLogEntry.account_id == account_id,
            RecordLogEntry.sequence >= position.sequence,
            RecordLogEntry.kind.in_(kinds.entry_kinds(names)),
        )
        .order_by(RecordLogEntry.sequence)
        .limit(MAX_ENTRIES)
    ).all()
    last = session.scalar(select(Account.last_record_sequence).where(Account.id == account_id)) or 0
    chosen = _prefix(entries, limit)
    loaded = _load(session, account_id, chosen, position, limit + 1)
    result: list[Record] = []
    for entry in chosen:
        sequence = int(entry.sequence or 0)
        first = position.offset if sequence == position.sequence else 0
        start, items = loaded.get(entry.number, Slice(0, ()))
        for offset, record in enumerate(items, start):
            if offset < first or record["kind"] not in names:
                continue
            if len(result) == limit:
                return Batch(result, Position(sequence, offset), has_more=True)
            result.append(_of_entry(record, entry, offset))
        position = Position(sequence + 1, 0)
    has_more = len(chosen) < len(entries) or len(entries) == MAX_ENTRIES
    if not has_more:  # entries of other kinds need not be read again
        position = max(position, Position(last + 1, 0))
    return Batch(result, position, has_more)


def _of_entry(record: Record, entry: RecordLogEntry, offset: int) -> Record:
    """Return the record at this position in the entry with what the stream adds."""
    cursor = Position(int(entry.sequence or 0), offset + 1).text()
    return {**record, "cursor": cursor, "storedAt": timestamps.text(entry.at)}


def _prefix(entries: Sequence[RecordLogEntry], limit: int) -> Sequence[RecordLogEntry]:
    """Return the first entries that have at most ``limit`` records together, and at least one."""
    total = 0
    for index, entry in enumerate(entries):
        total += entry.size
        if total > limit and index:
            return entries[:index]
    return entries


def _load(
    session: Session,
    account_id: UUID,
    entries: Sequence[RecordLogEntry],
    position: Position,
    limit: int,
) -> dict[int, Slice]:
    """Return the records by the number of the entry."""
    loaded: dict[int, Slice] = {}
    ordered = sorted(entries, key=lambda entry: (entry.kind, entry.number))
    for _, group in groupby(ordered, lambda entry: entry.kind):
        listed = list(group)
        first = position.offset if listed[0].sequence == position.sequence else 0
        request = Request(account_id=account_id, entries=listed, first=first, limit=limit)
        slices = records.load(session, request)
        loaded.update(
            (entry.number, slices[entry.row_id]) for entry in listed if entry.row_id in slices
        )
    return loaded

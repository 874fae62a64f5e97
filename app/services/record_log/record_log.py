"""The log of stored records: written with them, and numbered after the commit.

A number that is assigned when a row is written can become visible after a larger one that a reader
has passed, because transactions commit in another order than they begin. So an entry has no
sequence number at first. A reader numbers the committed entries of the account under a lock of the
account, and reads only numbered entries: no entry can appear before one that it has read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from app.db import bulk
from app.db.transactions import transaction
from app.models import Account, RecordLogEntry

BATCH_SIZE = 5_000  # entries that one transaction numbers


class EntryKind(StrEnum):
    """What the ``row_id`` of an entry identifies."""

    DMARC = "dmarc"  # an aggregate report
    TLS = "tls"  # a TLS report
    FAILURE = "failure"  # a failure report
    SCAN = "scan"  # a completed scan
    ALERT = "alert"  # an event of an alert
    DMARC_REMOVED = "dmarc_removed"  # a report that another one replaced
    TLS_REMOVED = "tls_removed"
    FAILURE_REMOVED = "failure_removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry to write; the fields are those of ``RecordLogEntry``."""

    account_id: UUID
    domain_id: UUID | None
    kind: EntryKind
    row_id: UUID
    size: int = 1


def append(session: Session, entries: Iterable[Entry]) -> None:
    """Write entries in the transaction that stores their rows."""
    rows: Sequence[Mapping[str, Any]] = [
        {
            "account_id": entry.account_id,
            "domain_id": entry.domain_id,
            "kind": entry.kind.value,
            "row_id": entry.row_id,
            "size": entry.size,
        }
        for entry in entries
    ]
    if rows:
        session.connection().execute(bulk.insert(session, RecordLogEntry), rows)


def number(account_id: UUID) -> int:
    """Number the account's new entries in the order of writing, and return how many there were.

    effects  transactions of up to BATCH_SIZE entries, each under a lock of the account
    """
    total = 0
    while True:
        with transaction(readonly=True) as session:
            if session.scalar(_unnumbered(account_id).limit(1)) is None:
                return total
        with transaction() as session:
            count = _number_batch(session, account_id)
        total += count
        if count < BATCH_SIZE:
            return total


def is_unread(sequence: Any) -> ColumnElement[bool]:
    """Return the condition for entries from this sequence number on, and for new ones."""
    return or_(RecordLogEntry.sequence.is_(None), RecordLogEntry.sequence >= sequence)


def _number_batch(session: Session, account_id: UUID) -> int:
    account = session.scalar(
        select(Account).where(Account.id == account_id).with_for_update(key_share=True)
    )
    if account is None:
        return 0
    batch = _unnumbered(account_id).limit(BATCH_SIZE).subquery()
    ranked = select(
        batch.c.number, func.row_number().over(order_by=batch.c.number).label("rank")
    ).subquery()
    last = account.last_record_sequence
    numbers = session.scalars(
        update(RecordLogEntry)
        .where(RecordLogEntry.number == ranked.c.number)
        .values(sequence=last + ranked.c.rank)
        .returning(RecordLogEntry.number)
        .execution_options(synchronize_session=False)
    ).all()
    account.last_record_sequence = last + len(numbers)
    return len(numbers)


def _unnumbered(account_id: UUID) -> Any:
    return (
        select(RecordLogEntry.number)
        .where(RecordLogEntry.account_id == account_id, RecordLogEntry.sequence.is_(None))
        .order_by(RecordLogEntry.number)
    )

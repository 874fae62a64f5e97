"""Daily quotas (UTC) of an account for report files: number, bytes and CPU time of parsing.

The address for reports is public, so anyone can send to it. There are three classes of senders:
the account's *own* uploads, *known* sources that sent an authenticated report before, and *unknown*
sources. RESERVED_PERCENT of a quota is not available to unknown sources, and a single unknown
source may use only a part of the rest. OWN_PERCENT is available only to the account's own uploads.
Imports by the operator (UNLIMITED_ROUTES) do not count.
"""

import ipaddress
import math
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from time import process_time
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from app import settings
from app.db import bulk, transactions
from app.db.transactions import transaction
from app.errors import QuotaExceeded
from app.models import DailyIngestUsage, IngestSource
from app.models.stored_json import SenderMetadata
from app.protocols import names
from app.protocols.client_networks import client_network
from app.services.ingest.authenticity import TRUSTED_ROUTES

RESERVED_PERCENT = 50  # of a daily quota that unknown sources cannot use
OWN_PERCENT = 10  # of a daily quota that only the account's own uploads may use
SOURCE_PERCENT = 10  # of a daily quota that one unknown source may use
KNOWN_SOURCE_PERCENT = 30  # of a daily quota that one known source may use
KNOWN_FOR = timedelta(days=90)  # after its last authenticated report
UNLIMITED_ROUTES = ("cli",)  # the operator, who sets the quotas; such files are not counted


class SourceClass(StrEnum):
    """The class of the sender of a file, as known when the file arrives."""

    OWN = "own"
    KNOWN = "known"
    UNKNOWN = "unknown"


def source_of(received_via: str, sender_metadata: SenderMetadata) -> str | None:
    """Return the name of the sender in the quotas: an IPv4 address, an IPv6 /64, or a domain.

    Mail that the operator's own mail server relays comes from a private address; its sender is
    the domain of the envelope. None if the sender is unknown, as for a mailbox.
    """
    if received_via == "http":
        return client_network(str(sender_metadata.get("address") or "")) or None
    if received_via != "mail":
        return None
    peer = str(sender_metadata.get("peerAddress") or "")
    if _is_public(peer):
        return client_network(peer)
    try:
        return names.parse_host(
            str(sender_metadata.get("mailFrom") or "").rpartition("@")[2].rstrip(">")
        )
    except names.NotADomain:
        return None


def _is_public(address: str) -> bool:
    try:
        return not ipaddress.ip_address(address).is_private
    except ValueError:
        return False


def is_known(account_id: UUID, source: str | None) -> bool:
    """Return whether the source sent an authenticated report to this account before."""
    if source is None:
        return False
    with transaction(readonly=True) as session:
        return _is_known(session, account_id, source)


def _is_known(session: Session, account_id: UUID, source: str) -> bool:
    since = transactions.now(session) - KNOWN_FOR
    return bool(
        session.scalar(
            select(IngestSource.source).where(
                IngestSource.account_id == account_id,
                IngestSource.source == source,
                IngestSource.authenticated_at > since,
            )
        )
    )


def classify(
    session: Session, account_id: UUID, received_via: str, sender_metadata: SenderMetadata
) -> SenderMetadata:
    """Return the metadata with the class of the sender; runs in the caller's transaction."""
    source = source_of(received_via, sender_metadata)
    sender = SourceClass.UNKNOWN
    if received_via in TRUSTED_ROUTES:
        sender = SourceClass.OWN
    elif source is not None and _is_known(session, account_id, source):
        sender = SourceClass.KNOWN
    return {**sender_metadata, "sourceClass": sender.value}


def class_of(received_via: str, sender_metadata: SenderMetadata) -> SourceClass:
    """Return the class that the sender of a stored file had when the file arrived."""
    if received_via in TRUSTED_ROUTES:
        return SourceClass.OWN
    return SourceClass(sender_metadata.get("sourceClass", SourceClass.UNKNOWN))


def share(sender: SourceClass, quota: int) -> int:
    """Return how much of a daily quota the files of this class may use together."""
    reserved = {
        SourceClass.OWN: 0,
        SourceClass.KNOWN: OWN_PERCENT,
        SourceClass.UNKNOWN: RESERVED_PERCENT,
    }
    return math.ceil(quota * (100 - reserved[sender]) / 100)


def count_file(
    session: Session,
    account_id: UUID,
    size_bytes: int,
    received_via: str,
    sender_metadata: SenderMetadata,
) -> None:
    """Count a file that arrives today; runs in the caller's transaction.

    sender_metadata  with the class of the sender: see ``classify``
    raises           QuotaExceeded
    """
    if received_via in UNLIMITED_ROUTES:
        return
    now = transactions.now(session)
    sender = class_of(received_via, sender_metadata)
    files, total, unknown_source_files, unknown_source_bytes = _count(
        session, account_id, size_bytes, sender, now.date()
    )
    if sender is SourceClass.UNKNOWN:
        files, total = unknown_source_files, unknown_source_bytes
    current = settings.current()
    if files > share(sender, current.ingest_files_per_day) or total > share(
        sender, current.ingest_bytes_per_day
    ):
        raise _exceeded("The account has reached its daily limit of reports", now)
    source = source_of(received_via, sender_metadata)
    if source is not None and sender is not SourceClass.OWN:
        _count_source(session, account_id, source, size_bytes, sender)


def _count(
    session: Session, account_id: UUID, size_bytes: int, sender: SourceClass, day: date
) -> tuple[int, int, int, int]:
    """Count the file, and return the files and bytes of the day: of all, and of unknown sources."""
    is_unknown = sender is SourceClass.UNKNOWN
    row = {
        "files": 1,
        "bytes": size_bytes,
        "unknown_source_files": int(is_unknown),
        "unknown_source_bytes": size_bytes if is_unknown else 0,
    }
    insert = bulk.insert(session, DailyIngestUsage).values(account_id=account_id, day=day, **row)
    counts = session.execute(
        insert.on_conflict_do_update(
            index_elements=["account_id", "day"],
            set_={name: getattr(DailyIngestUsage, name) + value for name, value in row.items()},
        ).returning(
            DailyIngestUsage.files,
            DailyIngestUsage.bytes,
            DailyIngestUsage.unknown_source_files,
            DailyIngestUsage.unknown_source_bytes,
        )
    ).one()
    return counts.files, counts.bytes, counts.unknown_source_files, counts.unknown_source_bytes


def _count_source(
    session: Session, account_id: UUID, source: str, size_bytes: int, sender: SourceClass
) -> None:
    """Count the file for its source.

    raises  QuotaExceeded
    """
    now = transactions.now(session)
    row = session.get(IngestSource, (account_id, source), with_for_update=True)
    if row is None:
        values = {
            "account_id": account_id,
            "source": source,
            "day": now.date(),
            "files": 0,
            "bytes": 0,
        }
        session.execute(bulk.insert(session, IngestSource).on_conflict_do_nothing(), [values])
        row = session.get_one(IngestSource, (account_id, source), with_for_update=True)
    if row.day != now.date():
        row.day, row.files, row.bytes = now.date(), 0, 0
    row.files, row.bytes = row.files + 1, row.bytes + size_bytes
    percent = SOURCE_PERCENT if sender is SourceClass.UNKNOWN else KNOWN_SOURCE_PERCENT
    current = settings.current()
    if (
        row.files > max(1, current.ingest_files_per_day * percent // 100)
        or row.bytes > current.ingest_bytes_per_day * percent // 100
    ):
        raise _exceeded("This sender has reached its daily limit of reports", now)


def _exceeded(message: str, now: datetime) -> QuotaExceeded:
    return QuotaExceeded(message, seconds_left(now))


def seconds_left(now: datetime) -> int:
    """Return the seconds until the next day in UTC begins, rounded up: before, it is refused."""
    midnight = datetime.combine(now.date(), time(), UTC) + timedelta(days=1)
    return math.ceil((midnight - now).total_seconds())


def note_authenticated(session: Session, account_id: UUID, source: str) -> None:
    """Note that the source sent an authenticated report; runs in the caller's transaction."""
    now = transactions.now(session)
    insert = bulk.insert(session, IngestSource).values(
        account_id=account_id,
        source=source,
        day=now.date(),
        files=0,
        bytes=0,
        authenticated_at=now,
    )
    session.execute(
        insert.on_conflict_do_update(
            index_elements=["account_id", "source"], set_={"authenticated_at": now}
        )
    )


def is_unused(now: datetime) -> ColumnElement[bool]:
    """Return the condition of counters of an earlier day whose source is not known."""
    authenticated_at = IngestSource.authenticated_at
    return and_(
        IngestSource.day < now.date(),
        or_(authenticated_at.is_(None), authenticated_at < now - KNOWN_FOR),
    )


class CpuMeter:
    """The CPU time of the accounts in one batch of files, today, measured by the worker.

    A sender of files that are expensive to parse uses up the budget of one account, and does not
    delay other accounts.
    """

    def __init__(self, account_ids: Collection[UUID]) -> None:
        with transaction(readonly=True) as session:
            rows = session.execute(
                select(DailyIngestUsage.account_id, DailyIngestUsage.cpu_ms).where(
                    DailyIngestUsage.account_id.in_(account_ids),
                    DailyIngestUsage.day == transactions.now(session).date(),
                )
            )
            self._before = {row.account_id: row.cpu_ms / 1000 for row in rows}
        self._used: dict[UUID, float] = defaultdict(float)

    def has_budget(self, account_id: UUID, sender: SourceClass) -> bool:
        """Return whether another file from a sender of this class may be parsed today."""
        quota = settings.current().ingest_cpu_seconds_per_day
        return self.used(account_id) < share(sender, quota)

    def used(self, account_id: UUID) -> float:
        """Return the CPU seconds that the account's files used today."""
        return float(self._before.get(account_id, 0.0)) + self._used[account_id]

    @contextmanager
    def measured(self, account_id: UUID) -> Iterator[None]:
        """Charge the CPU time of the block to the account."""
        started = process_time()
        try:
            yield
        finally:
            self._used[account_id] += process_time() - started

    def store(self) -> None:
        """Add the CPU time to the accounts' usage of the day."""
        used = {account_id: int(seconds * 1000) for account_id, seconds in self._used.items()}
        with transaction() as session:
            day = transactions.now(session).date()
            for account_id, cpu_ms in sorted(used.items()):
                insert = bulk.insert(session, DailyIngestUsage).values(
                    account_id=account_id, day=day, files=0, bytes=0, cpu_ms=cpu_ms
                )
                session.execute(
                    insert.on_conflict_do_update(
                        index_elements=["account_id", "day"],
                        set_={"cpu_ms": DailyIngestUsage.cpu_ms + cpu_ms},
                    )
                )
        self._used.clear()

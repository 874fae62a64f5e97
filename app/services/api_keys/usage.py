"""The usage of API keys: counted in memory, and stored in the database every few seconds."""

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, or_, select, update
from sqlalchemy.orm import Session

from app import wall_clock
from app.analysis import api_keys
from app.db.bulk import insert
from app.db.transactions import transaction
from app.errors import ServiceUnavailable
from app.models import ApiKey, ApiKeyAddress, ApiKeyUsage
from app.services.audit import refusals
from app.services.core.caches import Cache

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
SHOWN_DAYS = 30
SHOWN_ADDRESSES = 50
REFUSED_ADDRESS = "refused: not from this address"  # instead of a route
MAX_CACHED_KEYS = 1_000
_MAX_UNFLUSHED = 100_000  # distinct counters; only reached if the database is away for long

_lock = threading.Lock()
_counts: Counter[tuple[UUID, date, str, int]] = Counter()
_addresses: Counter[tuple[UUID, date, str]] = Counter()
_last_used: dict[tuple[UUID, date, str], datetime] = {}
_stored = Cache[tuple[UUID, date], Sequence[Any]](MAX_CACHED_KEYS, lambda: FLUSH_SECONDS)


def record(api_key_id: UUID, route: str, status: int, address: str) -> None:
    """Count one call; in memory, no I/O.

    route  the rule that matched, like ``GET /v1/domains/<domain>``; never the path itself
    """
    now = wall_clock.now()
    day = now.date()
    row_key = (api_key_id, day, address[:45])
    with _lock:
        if len(_counts) < _MAX_UNFLUSHED and len(_addresses) < _MAX_UNFLUSHED:
            _counts[(api_key_id, day, route, status)] += 1
            _addresses[row_key] += 1
            _last_used[row_key] = now


def flush() -> None:
    """Store the counts; if the database is unavailable, the next flush stores them."""
    with _lock:
        counts, addresses, last_used = dict(_counts), dict(_addresses), dict(_last_used)
        _counts.clear()
        _addresses.clear()
        _last_used.clear()
    if not counts:
        return
    try:
        _write(counts, addresses, last_used)
        _stored.clear()
    except ServiceUnavailable:
        logger.warning("API key usage flush failed; will retry")
        with _lock:
            _counts.update(counts)
            _addresses.update(addresses)
            for row_key, now in last_used.items():
                _last_used.setdefault(row_key, now)


def today(api_key_id: UUID) -> Sequence[tuple[str, int, int]]:
    """Return (route, status, count) of the key's calls today (UTC), by route, then status.

    Calls that other processes counted in the last 2 × FLUSH_SECONDS may not be in it yet.
    """
    day = wall_clock.now().date()
    totals: Counter[tuple[str, int]] = Counter()
    for route, status, count in _written(api_key_id, day):
        totals[(route, status)] += count
    with _lock:
        for (key, counted_on, route, status), count in _counts.items():
            if key == api_key_id and counted_on == day:
                totals[(route, status)] += count
    return [(route, status, count) for (route, status), count in sorted(totals.items())]


def _written(api_key_id: UUID, day: date) -> Sequence[Any]:
    """Return the stored counts, which are at most FLUSH_SECONDS old.

    Programs request them very often, and they change only with a flush.
    """
    rows = _stored.get((api_key_id, day))
    if rows is None:
        with transaction(readonly=True) as session:
            rows = tuple(
                session.execute(
                    select(ApiKeyUsage.route, ApiKeyUsage.status, ApiKeyUsage.count).where(
                        ApiKeyUsage.api_key_id == api_key_id, ApiKeyUsage.day == day
                    )
                )
            )
        _stored.put((api_key_id, day), rows)
    return rows


def activity(session: Session, api_key_id: UUID) -> api_keys.Activity:
    """Return the stored usage of the key in the last SHOWN_DAYS days, including today.

    Runs in the caller's transaction, before which ``flush`` stores the calls of this process.
    """
    last = wall_clock.now().date()
    first = last - timedelta(days=SHOWN_DAYS - 1)
    uses = session.execute(
        select(ApiKeyUsage.day, ApiKeyUsage.route, ApiKeyUsage.status, ApiKeyUsage.count).where(
            ApiKeyUsage.api_key_id == api_key_id, ApiKeyUsage.day >= first
        )
    )
    return api_keys.Activity(
        [first + timedelta(days=number) for number in range(SHOWN_DAYS)],
        [api_keys.RouteUsage(*row) for row in uses],
        _seen_addresses(session, api_key_id, last),
    )


class Flusher(threading.Thread):
    """A thread that flushes every FLUSH_SECONDS, and once more when it is stopped."""

    def __init__(self) -> None:
        super().__init__(name="usage", daemon=True)
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(FLUSH_SECONDS):
            flush()
            refusals.flush()

    def stop(self) -> None:
        """Stop the thread after a last flush."""
        self._over.set()
        flush()
        refusals.flush()


def _seen_addresses(session: Session, api_key_id: UUID, today: date) -> list[api_keys.Address]:
    """Return the addresses of the calls, the most recent first."""
    is_today = ApiKeyAddress.day == today
    rows: Any = session.execute(
        select(
            ApiKeyAddress.address,
            func.sum(ApiKeyAddress.count),
            func.sum(case((is_today, ApiKeyAddress.count), else_=0)),
            func.min(ApiKeyAddress.day),
            func.max(ApiKeyAddress.last_at),
        )
        .where(ApiKeyAddress.api_key_id == api_key_id)
        .group_by(ApiKeyAddress.address)
        .order_by(func.max(ApiKeyAddress.last_at).desc())
        .limit(SHOWN_ADDRESSES)
    )
    return [api_keys.Address(*row) for row in rows]


def _write(
    counts: dict[tuple[UUID, date, str, int], int],
    addresses: dict[tuple[UUID, date, str], int],
    last_used: dict[tuple[UUID, date, str], datetime],
) -> None:
    with transaction() as session:
        # The counts of a deleted key are dropped.
        keys = {key for key, *_ in counts}
        known = set(session.scalars(select(ApiKey.id).where(ApiKey.id.in_(keys))))
        _add_up(
            session,
            ApiKeyUsage,
            ["api_key_id", "day", "route", "status"],
            [
                {"api_key_id": key, "day": day, "route": route, "status": status, "count": count}
                for (key, day, route, status), count in sorted(counts.items(), key=str)
                if key in known
            ],
        )
        seen = [
            (*row_key, last_used[row_key]) for row_key in sorted(addresses) if row_key[0] in known
        ]
        _add_up(
            session,
            ApiKeyAddress,
            ["api_key_id", "day", "address"],
            [
                {
                    "api_key_id": key,
                    "day": day,
                    "address": address,
                    "count": addresses[key, day, address],
                    "last_at": now,
                }
                for key, day, address, now in seen
            ],
        )
        for key, _, address, now in sorted(seen, key=lambda row_key: (row_key[0], row_key[3])):
            _mark_used(session, key, address, now)


def _add_up(
    session: Session,
    table: type[ApiKeyUsage] | type[ApiKeyAddress],
    key: list[str],
    rows: list[Any],
) -> None:
    """Add the counts of ``rows`` to the stored ones."""
    if not rows:
        return
    statement = insert(session, table)
    new = {"count": table.count + statement.excluded.count}
    if table is ApiKeyAddress:
        new["last_at"] = statement.excluded.last_at
    session.execute(statement.on_conflict_do_update(index_elements=key, set_=new), rows)


def _mark_used(session: Session, key: UUID, address: str, now: datetime) -> None:
    is_newer = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now)
    session.execute(
        update(ApiKey)
        .where(ApiKey.id == key, is_newer)
        .values(last_used_at=now, last_used_address=address)
    )

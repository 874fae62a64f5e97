"""How keys are used: counted in memory, and flushed to the database every few seconds."""

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from uuid import UUID

from sqlalchemy import or_, select, update

from app.db import insert, transaction
from app.errors import ServiceUnavailable
from app.models import ApiKey, KeyUse

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
_MAX_UNFLUSHED = 100_000  # distinct counters; only reached if the database is away for long

_lock = threading.Lock()
_counts: Counter[tuple[UUID, date, str, int]] = Counter()
_last_used: dict[UUID, tuple[datetime, str]] = {}


def note(api_key_id: UUID, route: str, status: int, address: str) -> None:
    """Count one call; in memory, no I/O.

    route  the rule that matched, like ``GET /v1/domains/<domain>``; never the path itself
    """
    moment = datetime.now(UTC)
    with _lock:
        if len(_counts) < _MAX_UNFLUSHED:
            _counts[(api_key_id, moment.date(), route, status)] += 1
            _last_used[api_key_id] = (moment, address)


def flush() -> None:
    """Write what was counted; what cannot be written is kept for the next time."""
    with _lock:
        counts, last_used = dict(_counts), dict(_last_used)
        _counts.clear()
        _last_used.clear()
    if not counts:
        return
    try:
        _write(counts, last_used)
    except ServiceUnavailable:
        logger.warning("key uses not written; kept for the next time")
        with _lock:
            _counts.update(counts)
            for key, seen in last_used.items():
                _last_used.setdefault(key, seen)


def today(api_key_id: UUID) -> Sequence[tuple[str, int, int]]:
    """(route, status, count) of the key's calls today (UTC), by route, then status.

    Calls that other processes counted in the last FLUSH_SECONDS are not in it yet.
    """
    day = datetime.now(UTC).date()
    with transaction(readonly=True) as session:
        rows = session.execute(
            select(KeyUse.route, KeyUse.status, KeyUse.count).where(
                KeyUse.api_key_id == api_key_id, KeyUse.day == day
            )
        ).all()
    found: Counter[tuple[str, int]] = Counter()
    for route, status, count in rows:
        found[(route, status)] += count
    with _lock:
        for (key, counted_on, route, status), count in _counts.items():
            if key == api_key_id and counted_on == day:
                found[(route, status)] += count
    return [(route, status, count) for (route, status), count in sorted(found.items())]


class Flusher(threading.Thread):
    """Flushes every FLUSH_SECONDS until it is stopped, and once more then."""

    def __init__(self) -> None:
        super().__init__(name="usage", daemon=True)
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(FLUSH_SECONDS):
            flush()

    def stop(self) -> None:
        """Flush what is left; returns when that is done."""
        self._over.set()
        flush()


def _write(
    counts: dict[tuple[UUID, date, str, int], int], last_used: dict[UUID, tuple[datetime, str]]
) -> None:
    rows = [
        {"api_key_id": key, "day": day, "route": route, "status": status, "count": count}
        for (key, day, route, status), count in sorted(counts.items(), key=str)
    ]
    with transaction() as session:
        # A key that was deleted meanwhile must not take the others' counts with it.
        known = set(session.scalars(select(ApiKey.id).where(ApiKey.id.in_(last_used))))
        rows = [row for row in rows if row["api_key_id"] in known]
        if rows:
            statement = insert(session, KeyUse)
            session.execute(
                statement.on_conflict_do_update(
                    index_elements=["api_key_id", "day", "route", "status"],
                    set_={"count": KeyUse.count + statement.excluded.count},
                ),
                rows,
            )
        for key, (moment, address) in sorted(last_used.items(), key=lambda item: item[0]):
            session.execute(
                update(ApiKey)
                .where(
                    ApiKey.id == key,
                    or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < moment),
                )
                .values(last_used_at=moment, last_used_address=address)
            )

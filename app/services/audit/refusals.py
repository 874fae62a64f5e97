"""Refusals in the audit log: failed sign-ins, refused keys and missing permissions.

1. ``note`` counts in memory, so that a refused request writes nothing itself.
2. ``flush`` adds the counts to those of all processes in this hour.
3. The audit log gets an event when a count reaches 1, 10, 100 and so on: the first refusal is
   visible immediately, and a flood of them adds few rows.
4. An account has at most MAX_KINDS counts an hour. What exceeds them is counted together.
"""

import hashlib
import logging
import threading
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.bulk import insert
from app.db.transactions import now, transaction
from app.errors import ServiceUnavailable
from app.models import Account, RefusalCount
from app.protocols.client_networks import client_network
from app.services.audit import audit_log

logger = logging.getLogger(__name__)

MAX_KINDS = 200
ANONYMOUS = "anonymous"
VARIOUS = "various"
_MAX_UNFLUSHED = 2_000


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """The actor, the action and the reason of a refusal.

    actor   as in the audit log; ANONYMOUS for a caller who proved nothing
    target  a key id, an email address, or what was called
    """

    account_id: UUID
    actor: str
    action: str
    target: str
    reason: str
    network: str = ""

    @property
    def key(self) -> bytes:
        """What distinguishes it from the other refusals of its account."""
        parts = (self.actor, self.action, self.target, self.reason, self.network)
        return hashlib.sha256("\0".join(parts).encode()).digest()


_lock = threading.Lock()
_counts: Counter[Refusal] = Counter()


def note(refusal: Refusal, address: str | None = None) -> None:
    """Count one refusal; in memory, no I/O.

    address  of the client; by default of the request that is being answered
    """
    network = client_network(address or audit_log.origin.get().address or "")
    counted = replace(refusal, target=refusal.target[:200], network=network[:45])
    with _lock:
        if counted in _counts or len(_counts) < _MAX_UNFLUSHED:
            _counts[counted] += 1


def flush() -> None:
    """Store the counts; if the database is unavailable, the next flush stores them."""
    with _lock:
        counts = dict(_counts)
        _counts.clear()
    if not counts:
        return
    try:
        with transaction() as session:
            account_ids = {refusal.account_id for refusal in counts}
            hour = now(session).replace(minute=0, second=0, microsecond=0)
            accounts = set(session.scalars(select(Account.id).where(Account.id.in_(account_ids))))
            for refusal, count in sorted(_bounded(counts).items()):
                if refusal.account_id in accounts:
                    _add(session, refusal, count, hour)
    except ServiceUnavailable:
        logger.warning("failed to store refusals; will retry")
        with _lock:
            _counts.update(counts)


def _bounded(counts: dict[Refusal, int]) -> Counter[Refusal]:
    """At most MAX_KINDS refusals of each account, the rest counted together by action."""
    kinds: Counter[UUID] = Counter()
    bounded: Counter[Refusal] = Counter()
    for refusal, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        kinds[refusal.account_id] += 1
        is_within = kinds[refusal.account_id] <= MAX_KINDS
        bounded[refusal if is_within else _summary(refusal)] += count
    return bounded


def _summary(refusal: Refusal) -> Refusal:
    account_id, action = refusal.account_id, refusal.action
    return Refusal(
        account_id=account_id,
        actor=ANONYMOUS,
        action=action,
        target=VARIOUS,
        reason="too many different refusals to list",
        network=VARIOUS,
    )


def _add(session: Session, refusal: Refusal, count: int, hour: datetime) -> None:
    if not _has_room(session, refusal, hour):
        refusal = _summary(refusal)
    statement = insert(session, RefusalCount).values(
        account_id=refusal.account_id, hour=hour, key=refusal.key, count=count
    )
    total = session.scalar(
        statement.on_conflict_do_update(
            index_elements=["account_id", "hour", "key"],
            set_={"count": RefusalCount.count + count},
        ).returning(RefusalCount.count)
    )
    if len(str(total)) > len(str(total - count)) or total == count:
        _record(session, refusal, total)


def _has_room(session: Session, refusal: Refusal, hour: datetime) -> bool:
    of_hour = RefusalCount.account_id == refusal.account_id, RefusalCount.hour == hour
    is_known = session.scalar(
        select(RefusalCount.key).where(*of_hour, RefusalCount.key == refusal.key)
    )
    if is_known:
        return True
    kinds = session.scalar(select(func.count()).select_from(RefusalCount).where(*of_hour))
    return (kinds or 0) < MAX_KINDS


def _record(session: Session, refusal: Refusal, total: int) -> None:
    before = audit_log.origin.set(audit_log.Origin(refusal.network or None))
    try:
        audit_log.record(
            session,
            refusal.account_id,
            actor=refusal.actor,
            action=refusal.action,
            target=refusal.target,
            reason=refusal.reason,
            count_this_hour=total,
        )
    finally:
        audit_log.origin.reset(before)

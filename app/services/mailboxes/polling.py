"""Polls of mailboxes: when they are due, and what they change.

A message is marked in the mailbox only after its file is committed. A message that is fetched twice
is stored once.
"""

import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, update
from sqlalchemy.orm import Session

from app import settings
from app.db import transactions
from app.db.transactions import transaction
from app.jobs import queue
from app.models import ReportMailbox
from app.ports.network import Network
from app.services.core import encryption
from app.services.core.leases import Lease, LeaseTable
from app.services.mailboxes import access
from app.services.mailboxes.fetch import Fetch, PollResult

POLL_SECONDS = 10.0  # of one poll, as report files wait behind it
STARVATION_LIMIT = timedelta(minutes=1)  # after which a due mailbox is polled before files
LEASE_DURATION = timedelta(minutes=10)  # far more than one poll takes
MAX_RETRY_AFTER_SECONDS = 6 * 3600

LEASES = LeaseTable(
    key=ReportMailbox.id,
    until=ReportMailbox.next_at,
    duration=lambda: LEASE_DURATION,
    active=ReportMailbox.paused_at.is_(None),
)


def enqueue_if_due() -> None:
    """Enqueue a poll of the mailbox that has been due the longest, if no report file is queued.

    A mailbox that is due for longer than STARVATION_LIMIT is polled although files are queued.
    """
    with transaction(readonly=True) as session:
        late_at = transactions.now(session) - STARVATION_LIMIT
        due = _longest_due(session)
        polled_at = session.scalar(select(func.max(ReportMailbox.polled_at)))
    if due is not None:
        is_late = due.next_at <= late_at and (polled_at is None or polled_at <= late_at)
        queue.enqueue_mailbox_poll(due.id, is_late=is_late)


def _longest_due(session: Session) -> Row[UUID, datetime] | None:
    return session.execute(
        select(ReportMailbox.id, ReportMailbox.next_at)
        .where(
            ReportMailbox.next_at <= transactions.now(session), ReportMailbox.paused_at.is_(None)
        )
        .order_by(ReportMailbox.next_at)
        .limit(1)
    ).one_or_none()


def poll_next(
    mailbox_ids: Sequence[UUID],
    network: Network,
    *,
    is_stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Poll these mailboxes and then those that are due, for POLL_SECONDS."""
    next_ids, until = list(mailbox_ids), time.monotonic() + POLL_SECONDS
    while next_ids:
        for mailbox_id in next_ids:
            poll(mailbox_id, network, is_stopping=is_stopping)
        if is_stopping() or time.monotonic() > until:
            break
        with transaction(readonly=True) as session:
            due = _longest_due(session)
        next_ids = [due.id] if due else []
    enqueue_if_due()


def poll(
    mailbox_id: UUID,
    network: Network | None = None,
    *,
    is_forced: bool = False,
    context: ssl.SSLContext | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> PollResult | None:
    """Fetch the messages of a mailbox; None if it is paused, not due or polled by another worker.

    network    required unless the server may have a private address
    is_forced  poll it although it is not due
    effects    transactions for the claim, each message and the result; the network in between
    """
    claimed = _claim(mailbox_id, is_forced)
    if claimed is None:
        return None
    lease, mailbox = claimed
    try:
        connection = replace(access.connection_of(mailbox, network), context=context)
        result = Fetch(mailbox).run(connection, POLL_SECONDS, is_stopping)
    except encryption.DecryptionError as error:
        result = PollResult(failure=str(error))
    with transaction() as session:
        _renew_secrets(session, mailbox)
        _store_result(session, lease, result)
    return result


def _renew_secrets(session: Session, mailbox: ReportMailbox) -> None:
    """Encrypt secrets with the current key, unless they have changed since they were read."""
    if values := access.renewed_secrets(mailbox):
        is_unchanged = (
            (ReportMailbox.id == mailbox.id)
            & (ReportMailbox.secrets_encrypted == mailbox.secrets_encrypted)
            & ReportMailbox.token_encrypted.is_not_distinct_from(mailbox.token_encrypted)
        )
        statement = update(ReportMailbox).where(is_unchanged).values(**values)
        session.execute(statement.execution_options(synchronize_session=False))


def _store_result(session: Session, lease: Lease[UUID], result: PollResult) -> None:
    now = transactions.now(session)
    seconds: float = 0 if result.is_partial else settings.current().mailbox_poll_seconds
    if result.retry_after_seconds is not None:
        seconds = max(seconds, min(result.retry_after_seconds, MAX_RETRY_AFTER_SECONDS))
    outcome: dict[str, Any] = {"succeeded_at": now, "failing_since": None}
    if result.failure:
        outcome = {"failing_since": func.coalesce(ReportMailbox.failing_since, now)}
    if result.needs_sign_in:
        outcome["paused_at"] = now
    session.execute(
        update(ReportMailbox)
        .where(LEASES.is_held([lease]))
        .values(
            polled_at=now,
            next_at=now + timedelta(seconds=seconds),
            failure=result.failure and result.failure[:300],
            imported_count=ReportMailbox.imported_count + result.imported_count,
            too_large=result.too_large,
            read_count=result.read_count,
            skipped=dict(result.skipped),
            **outcome,
        )
    )


def _claim(mailbox_id: UUID, is_forced: bool) -> tuple[Lease[UUID], ReportMailbox] | None:
    with transaction() as session:
        is_requested = ReportMailbox.id == mailbox_id
        is_active = ReportMailbox.paused_at.is_(None)
        keys = (
            session.scalars(select(ReportMailbox.id).where(is_requested, is_active)).all()
            if is_forced
            else LEASES.lock(session, is_requested & is_active, limit=1)
        )
        for lease in LEASES.take(session, keys):
            return lease, session.get_one(ReportMailbox, mailbox_id)
        return None

"""Emails to people that are not deliveries of alerts: invitations, confirmations, notices.

1. ``enqueue`` writes a row in the transaction of the action, so an email exists if the action does.
2. A worker claims one due row at a time: it counts the attempt and moves the next attempt beyond
   the longest time that the worker can live. No second worker sends a row that is claimed.
3. The worker sends the email outside any transaction and stores the outcome, only where the
   attempt is still its own. After a failure the row waits by DELIVERY_SCHEDULE.
4. A worker that is killed between 2 and 3 leaves the row claimed; it is sent after LEASE_DURATION.
"""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.orm import Session

from app import ids, settings
from app.channels import plain_email, smtp, text
from app.channels.plain_email import PlainEmail
from app.channels.types import Outcome
from app.db.transactions import after_commit, now, transaction
from app.jobs import queue
from app.metrics.definitions import EMAILS
from app.models import Email
from app.services.core import encryption
from app.services.core.encryption import DecryptionError
from app.services.core.leases import Lease, LeaseTable

LEASE_DURATION = timedelta(seconds=queue.JOB_SECONDS + 300)  # longer than any job runs
RETENTION = timedelta(days=30)
MAX_RUN_SECONDS = 120.0  # of one call of ``send_due``
JITTER = 0.2
PURPOSE = "email"
UNREADABLE = "its body cannot be decrypted: SECRET_KEY has changed since it was stored"

LEASES = LeaseTable(
    key=Email.id,
    until=Email.next_attempt_at,
    attempt=Email.attempts,
    active=Email.status == "queued",
    duration=lambda: LEASE_DURATION,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEmail:
    """An email to queue.

    kind        what it is about, like ``invitation``; shown in metrics
    body        plain text
    html        the same as HTML; empty for plain text only
    unsubscribe_url  unsubscribes the recipient; empty without one
    account_id  None if it is not about an account
    """

    recipient: str
    kind: str
    subject: str
    body: str
    account_id: UUID | None = None
    html: str = ""
    unsubscribe_url: str = ""


class _Extras(NamedTuple):
    """What an email has beyond its plain text."""

    html: str = ""
    unsubscribe_url: str = ""


@dataclass(frozen=True, slots=True)
class _Claimed:
    """One email that only this worker sends; ``attempt`` counts from 1.

    body  None if it was encrypted under another SECRET_KEY
    """

    lease: Lease[UUID]
    attempt: int
    recipient: str
    subject: str
    body: str | None
    extras: _Extras
    claimed_at: datetime


def is_configured() -> bool:
    """Return whether this service can send emails."""
    return settings.current().smtp_url is not None


def enqueue(session: Session, new: NewEmail) -> None:
    """Queue the email; a worker sends it once the caller's transaction is committed.

    effects  a row; it is ``skipped`` immediately, without its body, if no mail server is configured
    """
    at = now(session)
    is_sendable = is_configured()
    row = Email(
        id=ids.new(),
        account_id=new.account_id,
        recipient=new.recipient,
        kind=new.kind,
        subject=text.plain(new.subject)[:200],
        body=encryption.encrypt(new.body, PURPOSE) if is_sendable else "",
        extras=_encrypted(_Extras(new.html, new.unsubscribe_url)) if is_sendable else "",
        status="queued" if is_sendable else "skipped",
        next_attempt_at=at if is_sendable else None,
        created_at=at,
        finished_at=None if is_sendable else at,
        error=None if is_sendable else smtp.NOT_SET,
    )
    session.add(row)
    if is_sendable:
        after_commit(session, queue.enqueue_delivery)
    else:
        after_commit(session, lambda: EMAILS.add("skipped"))


def enqueue_if_due() -> bool:
    """Enqueue a delivery job if an email is due, and return whether one was enqueued."""
    with transaction(readonly=True) as session:
        is_due = session.scalar(select(exists().where(_is_due(now(session)))))
    return bool(is_due) and queue.enqueue_delivery()


def send_due(*, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Send the due emails one after another, and return the number of attempts.

    It stops after MAX_RUN_SECONDS, or if the server cannot be reached.
    """
    count = 0
    deadline = time.monotonic() + MAX_RUN_SECONDS
    while not is_stopping() and time.monotonic() < deadline:
        claimed = _claim()
        if claimed is None:
            break
        outcome = _send(claimed)
        _store(claimed, outcome)
        count += 1
        if outcome.status is None and outcome.error is not None:
            break  # the others would only use up their attempts
    return count


def _is_due(at: datetime) -> ColumnElement[bool]:
    return Email.next_attempt_at <= at


def _claim() -> _Claimed | None:
    with transaction() as session:
        at = now(session)
        leases = LEASES.claim(session, _is_due(at), order=(Email.next_attempt_at,), limit=1)
        if not leases:
            return None
        row = session.get_one(Email, leases[0].key)
        return _Claimed(
            lease=leases[0],
            attempt=row.attempts,
            recipient=row.recipient,
            subject=row.subject,
            body=_decrypted(row.body),
            extras=_extras(row),
            claimed_at=at,
        )


def _decrypted(text: str) -> str | None:
    """Return the text; None if it was encrypted under another SECRET_KEY."""
    try:
        return encryption.decrypt(text, PURPOSE)
    except DecryptionError:
        return None


def _encrypted(extras: _Extras) -> str:
    return encryption.encrypt(json.dumps(extras), PURPOSE) if any(extras) else ""


def _extras(row: Email) -> _Extras:
    text = _decrypted(row.extras) if row.extras else None
    return _Extras(*json.loads(text)) if text else _Extras()


def _send(claimed: _Claimed) -> Outcome:
    current = settings.current()
    if current.smtp_url is None:
        return Outcome(error=smtp.NOT_SET)
    if claimed.body is None:
        return Outcome(error=UNREADABLE)
    content = PlainEmail(
        id=claimed.lease.key.hex,
        sender=current.mail_from,
        recipient=claimed.recipient,
        subject=claimed.subject,
        body=claimed.body,
        at=claimed.claimed_at,
        html=claimed.extras.html,
        unsubscribe_url=claimed.extras.unsubscribe_url,
    )
    server = smtp.parse_server(current.smtp_url)
    return smtp.submit(
        server,
        lambda: plain_email.compose(content),
        [claimed.recipient],
        seconds=current.delivery_seconds,
    )


def _store(claimed: _Claimed, outcome: Outcome) -> None:
    with transaction() as session:
        after = _after(claimed, outcome, now(session))
        stored = session.execute(
            update(Email).where(LEASES.is_held([claimed.lease])).values(after).returning(Email.id)
        )
        if stored.first() and "status" in after:
            after_commit(session, lambda: EMAILS.add(str(after["status"])))


def _after(claimed: _Claimed, outcome: Outcome, at: datetime) -> dict[str, object]:
    """Return the columns of the row after this attempt."""
    error = outcome.error and outcome.error[:300]
    schedule = settings.current().delivery_schedule
    if error is not None and claimed.attempt < len(schedule):
        seconds = schedule[claimed.attempt] * random.uniform(1 - JITTER, 1 + JITTER)
        return {"next_attempt_at": at + timedelta(seconds=seconds), "error": error}
    return {
        "status": "sent" if error is None else "failed",
        "body": "",
        "extras": "",
        "next_attempt_at": None,
        "sent_at": at if error is None else None,
        "finished_at": at,
        "error": error,
    }

"""Mailboxes of accounts from which reports are fetched: add, list, remove and poll them.

A message is marked in the mailbox only after its file is committed. A message that is fetched twice
is stored once.
"""

import re
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import ids, settings
from app.db import transactions
from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound, QuotaExceeded
from app.jobs import queue
from app.mailboxes import imap
from app.mailboxes.imap import Account
from app.mailboxes.types import MailboxError
from app.models import ReportMailbox
from app.protocols import names
from app.services.core import audit_log, encryption
from app.services.core.leases import Lease, LeaseTable
from app.services.ingest import authenticity, files

PURPOSE = "mailbox"
MAX_MESSAGES, POLL_SECONDS = 500, 10.0  # of one poll, as report files wait behind it
STARVATION_LIMIT = timedelta(minutes=1)  # after which a due mailbox is polled before files
LEASE_DURATION = timedelta(minutes=10)  # far more than one poll takes

LEASES = LeaseTable(
    key=ReportMailbox.id,
    until=ReportMailbox.next_at,
    duration=lambda: LEASE_DURATION,
)


@dataclass(frozen=True, slots=True)
class PollResult:
    """The result of one poll; ``is_partial`` is True if its time was too short for all messages."""

    imported_count: int = 0
    duplicate_count: int = 0
    too_large: int = 0
    failure: str | None = None
    is_partial: bool = False


def add(account_id: UUID, access: Account, *, actor: str) -> ReportMailbox:
    """Add a mailbox, which is polled from now on, and return it.

    raises  InvalidRequest; Conflict if the mailbox is already in the account
    """
    checked = _checked(access)
    with transaction() as session:
        row = ReportMailbox(
            id=ids.new(),
            account_id=account_id,
            host=checked.host,
            port=checked.port,
            username=checked.username,
            password=encryption.encrypt(checked.password, PURPOSE),
            folder=checked.folder,
            done_folder=checked.done_folder,
            created_by=actor,
            created_at=transactions.now(session),
            next_at=transactions.now(session),
        )
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError:
            raise Conflict("This mailbox is already in the account") from None
        audit_log.record(
            session,
            account_id,
            actor=actor,
            action="mailbox.added",
            target=ids.public("mbx", row.id),
            host=row.host,
            username=row.username,
        )
    return row


def search(account_id: UUID) -> Sequence[ReportMailbox]:
    """Return the account's mailboxes, oldest first."""
    with transaction(readonly=True) as session:
        return session.scalars(
            select(ReportMailbox)
            .where(ReportMailbox.account_id == account_id)
            .order_by(ReportMailbox.id)
        ).all()


def remove(account_id: UUID, mailbox_id: UUID, *, actor: str) -> None:
    """Delete the mailbox with its password.

    raises  NotFound
    """
    is_own = (ReportMailbox.account_id == account_id) & (ReportMailbox.id == mailbox_id)
    with transaction() as session:
        deleted = session.scalar(delete(ReportMailbox).where(is_own).returning(ReportMailbox.id))
        if deleted is None:
            raise NotFound
        audit_log.record(
            session,
            account_id,
            actor=actor,
            action="mailbox.removed",
            target=ids.public("mbx", mailbox_id),
        )


def trust_server(
    account_id: UUID, mailbox_id: UUID, authserv_id: str | None, *, actor: str
) -> ReportMailbox:
    """Set the server whose Authentication-Results are trusted; None: no server is trusted.

    It applies to messages that are fetched from then on.

    raises  NotFound; InvalidRequest
    """
    name = _authserv_id(authserv_id)
    with transaction() as session:
        row = session.scalar(
            select(ReportMailbox)
            .where(ReportMailbox.account_id == account_id, ReportMailbox.id == mailbox_id)
            .with_for_update()
        )
        if row is None:
            raise NotFound
        row.authserv_id = name
        audit_log.record(
            session,
            account_id,
            actor=actor,
            action="mailbox.server_trusted",
            target=ids.public("mbx", mailbox_id),
            authserv_id=name,
        )
    return row


def _authserv_id(text: str | None) -> str | None:
    """The name in the form in which names are compared (RFC 8601 §2.5).

    raises  InvalidRequest
    """
    if text is None:
        return None
    name = text.strip().lower()
    if not re.fullmatch(r"[!-:<-~]{1,253}", name):
        message = (
            "Enter the first word of the Authentication-Results header, such as mx.example.com"
        )
        raise InvalidRequest.field("authserv_id", message)
    return name


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
        .where(ReportMailbox.next_at <= transactions.now(session))
        .order_by(ReportMailbox.next_at)
        .limit(1)
    ).one_or_none()


def poll_next(
    mailbox_ids: Sequence[UUID], *, is_stopping: Callable[[], bool] = lambda: False
) -> None:
    """Poll these mailboxes and then those that are due, for POLL_SECONDS."""
    next_ids, until = list(mailbox_ids), time.monotonic() + POLL_SECONDS
    while next_ids:
        for mailbox_id in next_ids:
            poll(mailbox_id, is_stopping=is_stopping)
        if is_stopping() or time.monotonic() > until:
            break
        with transaction(readonly=True) as session:
            due = _longest_due(session)
        next_ids = [due.id] if due else []
    enqueue_if_due()


def poll(
    mailbox_id: UUID,
    *,
    is_forced: bool = False,
    context: ssl.SSLContext | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> PollResult | None:
    """Fetch the messages of a mailbox; None if it is not due or another worker polls it.

    is_forced  poll it although it is not due
    effects    transactions for the claim, each message and the result; the network in between
    """
    claimed = _claim(mailbox_id, is_forced)
    if claimed is None:
        return None
    lease, mailbox = claimed
    try:
        result = _poll(mailbox, context, is_stopping)
    except encryption.DecryptionError as error:
        result = PollResult(failure=str(error))
    with transaction() as session:
        encryption.renew(session, ReportMailbox.password, mailbox_id, mailbox.password, PURPOSE)
        now = transactions.now(session)
        seconds = 0 if result.is_partial else settings.current().mailbox_poll_seconds
        session.execute(
            update(ReportMailbox)
            .where(LEASES.is_held([lease]))
            .values(
                polled_at=now,
                next_at=now + timedelta(seconds=seconds),
                failure=result.failure and result.failure[:300],
                failing_since=(
                    func.coalesce(ReportMailbox.failing_since, now) if result.failure else None
                ),
                imported_count=ReportMailbox.imported_count + result.imported_count,
                too_large=result.too_large,
            )
        )
    return result


def _claim(mailbox_id: UUID, is_forced: bool) -> tuple[Lease[UUID], ReportMailbox] | None:
    with transaction() as session:
        is_requested = ReportMailbox.id == mailbox_id
        keys = [mailbox_id] if is_forced else LEASES.lock(session, is_requested, limit=1)
        for lease in LEASES.take(session, keys):
            return lease, session.get_one(ReportMailbox, mailbox_id)
        return None


def _access(row: ReportMailbox) -> Account:
    return Account(
        host=row.host,
        port=row.port,
        username=row.username,
        password=encryption.decrypt(row.password, PURPOSE),
        folder=row.folder,
        done_folder=row.done_folder,
    )


def _poll(
    row: ReportMailbox, context: ssl.SSLContext | None, is_stopping: Callable[[], bool]
) -> PollResult:
    imported = duplicates = too_large = 0
    failure: str | None = None
    is_partial = False
    metadata = authenticity.received_by([row.authserv_id] if row.authserv_id else [])
    until = time.monotonic() + POLL_SECONDS
    try:
        with imap.opened(_access(row), context) as source:
            for message in source.waiting(MAX_MESSAGES):
                if is_partial := is_stopping() or time.monotonic() > until:
                    break
                if message.is_too_large:
                    too_large += 1
                    continue
                stored = files.store(
                    row.account_id,
                    message.read(),
                    received_via="mailbox",
                    file_name=message.name,
                    sender_metadata=metadata,
                )
                imported, duplicates = imported + stored.is_new, duplicates + (not stored.is_new)
                message.acknowledge()
    except MailboxError as error:
        failure = str(error)
    except QuotaExceeded as error:
        failure = error.message
    return PollResult(
        imported_count=imported,
        duplicate_count=duplicates,
        too_large=too_large,
        failure=failure,
        is_partial=is_partial and imported + duplicates > 0,
    )


def _checked(access: Account) -> Account:
    """The access in the form in which it is stored.

    raises  InvalidRequest
    """
    errors: list[dict[str, str]] = []
    host = access.host.strip().lower()
    try:
        host = names.parse_host(host)
    except names.NotADomain as error:
        if error.code != "ip_address":
            errors.append({"field": "host", "code": error.code, "message": error.reason})
    if not 0 < access.port < 65_536:
        errors.append(
            {"field": "port", "code": "invalid", "message": "Enter a port from 1 to 65535"}
        )
    for field, text, length in (
        ("username", access.username, 320),
        ("password", access.password, 500),
        ("folder", access.folder, 200),
        ("done_folder", access.done_folder or "x", 200),
    ):
        if not (text.isprintable() and 0 < len(text) <= length):
            message = f"Enter 1 to {length} printable characters"
            errors.append({"field": field, "code": "invalid", "message": message})
    if errors:
        raise InvalidRequest(errors)
    return replace(access, host=host)

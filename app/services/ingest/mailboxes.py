"""Mailboxes that reports are pulled from: added, listed, removed, pulled.

A mail is marked in the mailbox only once it is committed here; one that comes twice is one file.
"""

import re
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
MAILS_AT_ONCE, POLL_SECONDS = 500, 10.0  # of one pull: files wait meanwhile; the next goes on
STARVATION_LIMIT = timedelta(minutes=1)  # of mailboxes that are due, while files wait
LEASE_DURATION = timedelta(minutes=10)  # far more than one poll takes

LEASES = LeaseTable(
    key=ReportMailbox.id,
    until=ReportMailbox.next_at,
    duration=lambda: LEASE_DURATION,
)


@dataclass(frozen=True, slots=True)
class PollResult:
    """What came of one; ``is_cut`` is True if it got on, and more waits than it had time for."""

    imported_count: int = 0
    duplicate_count: int = 0
    too_large: int = 0
    failure: str | None = None
    is_cut: bool = False


def add(account_id: UUID, access: Account, *, actor: str) -> ReportMailbox:
    """The mailbox, which is pulled from now on.

    raises  InvalidRequest; Conflict if the account has it already
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
            raise Conflict("The account has this mailbox already") from None
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
    """The account's mailboxes, oldest first."""
    with transaction(readonly=True) as session:
        return session.scalars(
            select(ReportMailbox)
            .where(ReportMailbox.account_id == account_id)
            .order_by(ReportMailbox.id)
        ).all()


def remove(account_id: UUID, mailbox_id: UUID, *, actor: str) -> None:
    """Pull it no more, and forget its password.

    raises  NotFound
    """
    mine = (ReportMailbox.account_id == account_id) & (ReportMailbox.id == mailbox_id)
    with transaction() as session:
        found = session.scalar(delete(ReportMailbox).where(mine).returning(ReportMailbox.id))
        if found is None:
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
    """Name the server that receives the mailbox's mail; None: its results no longer count.

    It holds for mail that is fetched from then on.

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
    """The name as it is compared (RFC 8601 §2.5).

    raises  InvalidRequest
    """
    if text is None:
        return None
    name = text.strip().lower()
    if not re.fullmatch(r"[!-:<-~]{1,253}", name):
        message = "The name as it stands first in Authentication-Results, such as mx.example.com"
        raise InvalidRequest.field("authserv_id", message)
    return name


def enqueue_if_due() -> None:
    """Have a worker pull the mailbox that has been due for longest, when no file waits to be read.

    If that takes too long mailboxes have a turn although files wait, and then files again.
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
    """Pull these mailboxes, then those that are due, until a turn is over."""
    wanted, until = list(mailbox_ids), time.monotonic() + POLL_SECONDS
    while wanted:
        for mailbox_id in wanted:
            poll(mailbox_id, is_stopping=is_stopping)
        if is_stopping() or time.monotonic() > until:
            break
        with transaction(readonly=True) as session:
            due = _longest_due(session)
        wanted = [due.id] if due else []
    enqueue_if_due()


def poll(
    mailbox_id: UUID,
    *,
    is_forced: bool = False,
    context: ssl.SSLContext | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> PollResult | None:
    """Take in what waits in a mailbox; None if it is not due, or another worker is at it.

    is_forced  although it is not due
    effects    a transaction for the claim, one a mail, one for the result; the network between
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
        pause = timedelta(seconds=0 if result.is_cut else settings.current().mailbox_poll_seconds)
        session.execute(
            update(ReportMailbox)
            .where(LEASES.is_held([lease]))
            .values(
                polled_at=now,
                next_at=now + pause,
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
        is_it = ReportMailbox.id == mailbox_id
        keys = [mailbox_id] if is_forced else LEASES.lock(session, is_it, limit=1)
        for lease in LEASES.take(session, keys):
            return lease, session.get_one(ReportMailbox, mailbox_id)
        return None


def _poll(
    row: ReportMailbox, context: ssl.SSLContext | None, is_stopping: Callable[[], bool]
) -> PollResult:
    kept = known = too_large = 0
    failure: str | None = None
    is_cut = False
    access = Account(
        row.host,
        row.port,
        row.username,
        encryption.decrypt(row.password, PURPOSE),
        row.folder,
        row.done_folder,
    )
    claims = authenticity.received_by([row.authserv_id] if row.authserv_id else [])
    until = time.monotonic() + POLL_SECONDS
    try:
        with imap.opened(access, context) as source:
            for mail in source.waiting(MAILS_AT_ONCE):
                if is_cut := is_stopping() or time.monotonic() > until:
                    break
                if mail.is_too_large:
                    too_large += 1
                    continue
                taken = files.store(
                    row.account_id,
                    mail.read(),
                    received_via="mailbox",
                    file_name=mail.name,
                    sender_metadata=claims,
                )
                kept, known = kept + taken.is_new, known + (not taken.is_new)
                mail.acknowledge()
    except MailboxError as error:
        failure = str(error)
    except QuotaExceeded as error:
        failure = error.message
    return PollResult(kept, known, too_large, failure, is_cut and kept + known > 0)


def _checked(access: Account) -> Account:
    """The access as it is kept.

    raises  InvalidRequest
    """
    complaints: list[dict[str, str]] = []
    host = access.host.strip().lower()
    try:
        host = names.parse_host(host)
    except names.NotADomain as error:
        if error.code != "ip_address":
            complaints.append({"field": "host", "code": error.code, "message": error.reason})
    if not 0 < access.port < 65_536:
        complaints.append({"field": "port", "code": "invalid", "message": "It is no port"})
    for field, text, most in (
        ("username", access.username, 320),
        ("password", access.password, 500),
        ("folder", access.folder, 200),
        ("done_folder", access.done_folder or "x", 200),
    ):
        if not (text.isprintable() and 0 < len(text) <= most):
            message = f"Enter 1 to {most} printable characters"
            complaints.append({"field": field, "code": "invalid", "message": message})
    if complaints:
        raise InvalidRequest(complaints)
    return Account(
        host, access.port, access.username, access.password, access.folder, access.done_folder
    )

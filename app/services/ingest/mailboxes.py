"""Mailboxes of accounts from which reports are fetched: add, list, change, remove and poll them.

A message is marked in the mailbox only after its file is committed. A message that is fetched twice
is stored once.
"""

import re
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import ids, settings
from app.db import transactions
from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.jobs import queue
from app.mailboxes.imap import Account
from app.models import Account as AccountRow
from app.models import ReportMailbox
from app.ports.network import Network
from app.services.audit import audit_log
from app.services.core import encryption
from app.services.core.leases import Lease, LeaseTable
from app.services.ingest import mailbox_access
from app.services.ingest.mailbox_fetch import Fetch, PollResult

POLL_SECONDS = 10.0  # of one poll, as report files wait behind it
STARVATION_LIMIT = timedelta(minutes=1)  # after which a due mailbox is polled before files
LEASE_DURATION = timedelta(minutes=10)  # far more than one poll takes

MAX_MAILBOXES = 50  # of an account

LEASES = LeaseTable(
    key=ReportMailbox.id,
    until=ReportMailbox.next_at,
    duration=lambda: LEASE_DURATION,
    active=ReportMailbox.paused_at.is_(None),
)


def add(
    account_id: UUID, access: Account, *, actor: str, is_private: bool = False
) -> ReportMailbox:
    """Add a mailbox, which is polled from now on, and return it.

    is_private  whether the server may have a private address; only for operators
    raises      InvalidRequest; Conflict if the mailbox is already in the account
    """
    checked = mailbox_access.checked(access)
    with transaction() as session:
        session.scalar(select(AccountRow.id).where(AccountRow.id == account_id).with_for_update())
        count = session.scalar(select(func.count()).where(ReportMailbox.account_id == account_id))
        if (count or 0) >= MAX_MAILBOXES:
            raise Conflict(f"An account can have at most {MAX_MAILBOXES} mailboxes")
        row = ReportMailbox(
            id=ids.new(),
            account_id=account_id,
            is_private=is_private,
            created_by=actor,
            created_at=transactions.now(session),
            next_at=transactions.now(session),
            **_columns(checked),
        )
        with _only_once(session):
            session.add(row)
        _record(session, row, actor, "mailbox.added", host=row.host, username=row.username)
    return row


def change(
    account_id: UUID, mailbox_id: UUID, access: Account, *, actor: str, is_private: bool = False
) -> ReportMailbox:
    """Replace the access to the mailbox, which is polled immediately, and return the row.

    access      with an empty password, the stored one is kept; this requires the same server
    is_private  as for ``add``; otherwise it stays as it is while the server is the same
    raises      NotFound; InvalidRequest; Conflict
    """
    with transaction() as session:
        row = _locked(session, account_id, mailbox_id)
        checked = mailbox_access.checked(with_stored_password(row, access))
        may_be_private = is_private or has_private_server(row, checked)
        before = _public_columns(row)
        with _only_once(session):
            for name, value in _columns(checked).items():
                setattr(row, name, value)
            row.is_private = may_be_private
            row.next_at = transactions.now(session)
        after = _public_columns(row)
        changed = [name for name in before if before[name] != after[name]]
        if access.password:
            changed.append("password")
        _record(session, row, actor, "mailbox.changed", fields=changed, host=row.host)
    return row


def has_private_server(row: ReportMailbox, access: Account) -> bool:
    """Return whether the access is to the server of the row, which may have a private address."""
    return row.is_private and (access.host, access.port) == (row.host, row.port)


def with_stored_password(row: ReportMailbox, access: Account) -> Account:
    """Return the access with the stored password if it has none.

    The password is never sent to another server than the one that it was entered for.

    raises  InvalidRequest
    """
    if access.password:
        return access
    access = mailbox_access.normalized(access)
    server = (access.host, access.port, access.username)
    if server != (row.host, row.port, row.username) or access.security != row.security:
        message = "Enter the password again, because the server or the user name changed"
        raise InvalidRequest.field("password", message)
    if access.ca_certificates != row.ca_certificates:
        message = "Enter the password again, because the certificate authority changed"
        raise InvalidRequest.field("password", message)
    return replace(access, password=encryption.decrypt(row.password, mailbox_access.PURPOSE))


def pause(account_id: UUID, mailbox_id: UUID, *, actor: str) -> ReportMailbox:
    """Stop polling the mailbox until it is resumed; an alert on its failures resolves.

    raises  NotFound
    """
    with transaction() as session:
        row = _locked(session, account_id, mailbox_id)
        if row.paused_at is None:
            row.paused_at, row.failing_since = transactions.now(session), None
            _record(session, row, actor, "mailbox.paused")
    return row


def resume(account_id: UUID, mailbox_id: UUID, *, actor: str) -> ReportMailbox:
    """Poll the mailbox again, immediately.

    raises  NotFound
    """
    with transaction() as session:
        row = _locked(session, account_id, mailbox_id)
        if row.paused_at is not None:
            row.paused_at, row.next_at = None, transactions.now(session)
            _record(session, row, actor, "mailbox.resumed")
    return row


def find(account_id: UUID, mailbox_id: UUID) -> ReportMailbox:
    """Return a mailbox of the account; raises NotFound."""
    with transaction(readonly=True) as session:
        is_own = (ReportMailbox.account_id == account_id) & (ReportMailbox.id == mailbox_id)
        row = session.scalar(select(ReportMailbox).where(is_own))
        if row is None:
            raise NotFound
        return row


def find_any(mailbox_id: UUID) -> ReportMailbox:
    """Return a mailbox of any account, for operators; raises NotFound."""
    with transaction(readonly=True) as session:
        row = session.get(ReportMailbox, mailbox_id)
        if row is None:
            raise NotFound
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
        row = _locked(session, account_id, mailbox_id)
        row.authserv_id = name
        _record(session, row, actor, "mailbox.server_trusted", authserv_id=name)
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
        connection = replace(mailbox_access.connection_of(mailbox, network), context=context)
        fetch = Fetch(mailbox.account_id, mailbox.authserv_id, mailbox.skipped)
        result = fetch.run(connection, POLL_SECONDS, is_stopping)
    except encryption.DecryptionError as error:
        result = PollResult(failure=str(error))
    with transaction() as session:
        purpose = mailbox_access.PURPOSE
        encryption.renew(session, ReportMailbox.password, mailbox_id, mailbox.password, purpose)
        _store_result(session, lease, result)
    return result


def _store_result(session: Session, lease: Lease[UUID], result: PollResult) -> None:
    now = transactions.now(session)
    seconds = 0 if result.is_partial else settings.current().mailbox_poll_seconds
    outcome: dict[str, Any] = {"succeeded_at": now, "failing_since": None}
    if result.failure:
        outcome = {"failing_since": func.coalesce(ReportMailbox.failing_since, now)}
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


def _locked(session: Session, account_id: UUID, mailbox_id: UUID) -> ReportMailbox:
    """Lock and return a mailbox of the account; raises NotFound."""
    row = session.scalar(
        select(ReportMailbox)
        .where(ReportMailbox.account_id == account_id, ReportMailbox.id == mailbox_id)
        .with_for_update()
    )
    if row is None:
        raise NotFound
    return row


@contextmanager
def _only_once(session: Session) -> Iterator[None]:
    """Raise Conflict if the account has another mailbox with the same access."""
    try:
        with session.begin_nested():
            yield
    except IntegrityError:
        raise Conflict("This mailbox is already in the account") from None


def _columns(access: Account) -> dict[str, Any]:
    """Return the columns of a mailbox with this access; its password is encrypted."""
    password = encryption.encrypt(access.password, mailbox_access.PURPOSE)
    return {**asdict(access), "password": password}


def _public_columns(row: ReportMailbox) -> dict[str, Any]:
    """Return the columns of the access that are not secret."""
    names = (item.name for item in fields(Account) if item.name != "password")
    return {name: getattr(row, name) for name in names}


def _record(session: Session, row: ReportMailbox, actor: str, action: str, **details: Any) -> None:
    target = ids.public("mbx", row.id)
    audit_log.record(session, row.account_id, actor=actor, action=action, target=target, **details)

"""Mailboxes of accounts from which reports are fetched: add, list, change and remove them."""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app import ids
from app.db import transactions
from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.mailboxes.config import MailboxConfig
from app.models import Account as AccountRow
from app.models import ReportMailbox
from app.services.audit import audit_log
from app.services.mailboxes import access
from app.services.mailboxes.access import TokenStore

MAX_MAILBOXES = 50  # of an account


def add(
    account_id: UUID,
    config: MailboxConfig,
    *,
    actor: str,
    is_private: bool = False,
    tokens: TokenStore | None = None,
) -> ReportMailbox:
    """Add a mailbox, which is polled from now on, and return it.

    is_private  whether the server may have a private address; only for operators
    tokens      has the access token of a test
    raises      InvalidRequest; Conflict if the mailbox is already in the account
    """
    checked = config.checked()
    with transaction() as session:
        others = _locked_mailboxes(session, account_id)
        if len(others) >= MAX_MAILBOXES:
            raise Conflict(f"An account can have at most {MAX_MAILBOXES} mailboxes")
        _expect_new(checked, others)
        row = ReportMailbox(
            id=ids.new(),
            account_id=account_id,
            type=checked.type,
            options=checked.public(),
            secrets_encrypted=access.encrypted_secrets(checked),
            token_encrypted=tokens.encrypted if tokens else None,
            is_private=is_private,
            created_by=actor,
            created_at=transactions.now(session),
            next_at=transactions.now(session),
        )
        session.add(row)
        details = {"type": row.type, "mailbox": checked.title, "location": checked.location}
        _record(session, row, actor, "mailbox.added", **details)
    return row


def change(
    account_id: UUID,
    mailbox_id: UUID,
    config: MailboxConfig,
    *,
    actor: str,
    is_private: bool = False,
) -> ReportMailbox:
    """Replace the options of the mailbox, which is polled immediately, and return the row.

    config      empty secrets are those that are stored; this requires the same server
    is_private  as for ``add``; otherwise it stays as it is while the server is the same
    raises      NotFound; InvalidRequest; Conflict
    """
    with transaction() as session:
        others = _locked_mailboxes(session, account_id)
        row = _locked(session, account_id, mailbox_id)
        checked = with_stored_secrets(row, config).checked()
        _expect_new(checked, [other for other in others if other.id != mailbox_id])
        may_be_private = is_private or has_private_server(row, checked)
        before, after = row.options, checked.public()
        changed = [name for name in after if before.get(name) != after[name]]
        changed += [name for name, secret in config.secrets().items() if secret]
        row.options, row.secrets_encrypted = after, access.encrypted_secrets(checked)
        row.is_private = may_be_private
        if row.failing_since is not None:  # a poll paused it, because signing in was refused
            row.paused_at = None
        row.next_at = transactions.now(session)
        _record(session, row, actor, "mailbox.changed", fields=changed, location=checked.location)
    return row


def has_private_server(row: ReportMailbox, config: MailboxConfig) -> bool:
    """Return whether the row may have private servers, and the options name the same ones."""
    return row.is_private and config.servers() == access.public_config_of(row).servers()


def with_stored_secrets(row: ReportMailbox, config: MailboxConfig) -> MailboxConfig:
    """Return the options with the stored secrets in place of empty ones.

    raises  InvalidRequest; DecryptionError, unless all secrets were entered again
    """
    if config.type != row.type:
        raise InvalidRequest.field("type", "The type of a mailbox cannot be changed")
    return config if config.has_all_secrets else config.with_secrets_of(access.config_of(row))


def name_of(row: ReportMailbox) -> str:
    """Return a name of the mailbox for people, such as its user, server and folder."""
    config = access.public_config_of(row)
    return f"{config.title} at {config.location}"


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


def _locked_mailboxes(session: Session, account_id: UUID) -> Sequence[ReportMailbox]:
    """Lock the account, so that no mailbox is added or changed at the same time."""
    session.scalar(select(AccountRow.id).where(AccountRow.id == account_id).with_for_update())
    is_own = ReportMailbox.account_id == account_id
    return session.scalars(select(ReportMailbox).where(is_own)).all()


def _expect_new(config: MailboxConfig, others: Sequence[ReportMailbox]) -> None:
    """Raise Conflict if one of the mailboxes is the same."""
    for row in others:
        other = access.public_config_of(row)
        if row.type == config.type and (other.title, other.location) == (
            config.title,
            config.location,
        ):
            raise Conflict("This mailbox is already in the account")


def _record(session: Session, row: ReportMailbox, actor: str, action: str, **details: Any) -> None:
    target = ids.public("mbx", row.id)
    audit_log.record(session, row.account_id, actor=actor, action=action, target=target, **details)

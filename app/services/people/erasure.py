"""Erasure of deleted users: a pseudonym replaces the address, except in the audit log."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import JSON, Column, Table, Text, cast, delete, func, select, update
from sqlalchemy.orm import Session

from app import ids
from app.channels.registry import CHANNEL_TYPES
from app.db.transactions import now
from app.models import Base, Channel, ChannelRecipient, Email, Invitation, User
from app.services.core import account_rows

NO_RECIPIENT_LEFT = "The only recipient of this channel was deleted"
_WITH_RECIPIENTS = tuple(type.name for type in CHANNEL_TYPES.values() if type.has_recipients)
# Columns that name an actor: as ``user:<address>`` or by the address alone.
ACTORS = (
    *("alert_transitions.actor", "api_keys.created_by", "channels.created_by"),
    *("ingest_tokens.created_by", "invitations.invited_by", "report_mailboxes.created_by"),
    *("scan_batches.requested_by", "scans.requested_by", "source_decisions.actor"),
    *("upload_tokens.created_by", "share_links.created_by"),
)
# Columns with texts that users write, and with copies of these texts.
TEXTS = (
    *(
        "alert_transitions.note",
        "alerts.risk_owner",
        "alerts.assignee",
        "domains.legal_hold_reason",
    ),
    *("source_decisions.note", "events.body"),
)


def erase(session: Session, user: User) -> None:
    """Replace the address of a user who is being deleted by a pseudonym.

    Runs in the caller's transaction. The audit log is not changed: it must name actors until its
    retention ends. Data of DNS records and reports is not about the user.
    """
    pseudonym = ids.public("usr", user.id)
    pattern = re.compile(rf"(?<![\w.+-]){re.escape(user.email)}(?![\w-])", re.IGNORECASE)

    def replace(text: str) -> str:
        return pattern.sub(pseudonym, text)

    session.execute(
        delete(Invitation).where(
            Invitation.account_id == user.account_id, Invitation.email == user.email
        )
    )
    session.execute(delete(Email).where(Email.recipient == user.email))
    _leave_channels(session, user)
    for column in _columns(ACTORS):
        _rename(session, user, column, pseudonym)
    for column in _columns(TEXTS):
        _replace(session, user, column, replace)


def _columns(names: Sequence[str]) -> Iterator[Column[Any]]:
    for name in names:
        table, _, column = name.partition(".")
        yield Base.metadata.tables[table].c[column]


def _rename(session: Session, user: User, column: Column[Any], pseudonym: str) -> None:
    table: Table = column.table
    owned = account_rows.owned_by(table, user.account_id)
    conditions = [] if owned is None else [owned]
    if table.name == "scans":  # the schedule starts most of them, and has no user
        conditions.append(table.c.trigger != "schedule")
    for name, new in ((f"user:{user.email}", f"user:{pseudonym}"), (user.email, pseudonym)):
        session.execute(update(table).where(*conditions, column == name).values({column: new}))


def _replace(
    session: Session, user: User, column: Column[Any], replace: Callable[[str], str]
) -> None:
    table: Table = column.table
    condition = account_rows.owned_by(table, user.account_id)
    if condition is None:
        return
    keys = list(table.primary_key.columns)
    contains_address = cast(column, Text).icontains(user.email, autoescape=True)
    rows = session.execute(select(*keys, column).where(condition, contains_address)).all()
    for *key, value in rows:
        new = _without_person(value, replace) if isinstance(column.type, JSON) else replace(value)
        is_row = [part == value for part, value in zip(keys, key, strict=True)]
        session.execute(update(table).where(*is_row).values({column: new}))


def _without_person(body: dict[str, Any], replace: Callable[[str], str]) -> dict[str, Any]:
    """The body of an event without the user; observations from DNS and reports remain."""
    data = dict(body.get("data") or {})
    for part, names in (("transition", ("actor", "note")), ("alert", ("riskOwner", "assignee"))):
        if isinstance(data.get(part), dict):
            changed = {
                name: replace(data[part][name])
                for name in names
                if isinstance(data[part].get(name), str)
            }
            data[part] = {**data[part], **changed}
    return {**body, "data": data}


def _leave_channels(session: Session, user: User) -> None:
    """Remove the user from the recipients of all channels."""
    session.execute(
        delete(ChannelRecipient).where(
            ChannelRecipient.account_id == user.account_id,
            func.lower(ChannelRecipient.address) == user.email,
        )
    )
    channels = session.scalars(
        select(Channel)
        .where(Channel.account_id == user.account_id, Channel.kind.in_(_WITH_RECIPIENTS))
        .with_for_update()
    )
    for channel in channels:
        recipients = [part.strip() for part in channel.target.split(",")]
        remaining = [address for address in recipients if address.lower() != user.email]
        if len(remaining) == len(recipients):
            continue
        channel.target = ", ".join(remaining)
        if not remaining and channel.disabled_at is None:
            channel.disabled_at, channel.disabled_reason = now(session), NO_RECIPIENT_LEFT

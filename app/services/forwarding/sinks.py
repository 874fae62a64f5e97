"""Sinks of accounts: add, change, pause, skip and remove them.

The options of a sink are checked by its type. A secret is encrypted and never shown again, except
the signing secret of a new webhook.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import ids, settings
from app.db import transactions
from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.models import Account, RecordSink
from app.services.audit import audit_log
from app.services.core import encryption
from app.services.forwarding import kinds
from app.services.record_log import record_log
from app.sinks import registry
from app.sinks.types import Deployment, SinkConfig

PREFIX = "sink"
MAX_SINKS = 20  # of an account


@dataclass(frozen=True, slots=True)
class NewSink:
    """A sink to add, or the new values of one.

    name          unique within the account
    config        its options
    record_kinds  the kinds of records to forward; empty: all
    is_complete   begin with the first stored record; otherwise with those that are stored from now
    """

    name: str
    config: SinkConfig
    record_kinds: Sequence[str] = ()
    is_complete: bool = False


def add(account_id: UUID, new: NewSink, *, actor: str) -> tuple[RecordSink, str | None]:
    """Add a sink, and return it with the signing secret that was created for it, if any.

    raises  InvalidRequest; Conflict if the name is taken or there are MAX_SINKS
    """
    config, generated = new.config.checked().with_generated()
    record_log.number(account_id)
    with transaction() as session:
        account = session.get_one(Account, account_id, with_for_update={"key_share": True})
        count = session.scalar(select(func.count()).where(RecordSink.account_id == account_id))
        if (count or 0) >= MAX_SINKS:
            raise Conflict(f"An account can have at most {MAX_SINKS} sinks")
        now = transactions.now(session)
        row = RecordSink(
            id=ids.new(),
            account_id=account_id,
            kind=config.type,
            name=_name(new),
            options=config.public(),
            record_kinds=_record_kinds(new),
            sequence=0 if new.is_complete else account.last_record_sequence + 1,
            created_by=actor,
            created_at=now,
            next_at=now,
        )
        _encrypt(row, config)
        _insert(session, row)
        _record(session, row, actor, "sink.added", kind=row.kind)
    return row, next(iter(generated.values()), None)


def change(account_id: UUID, sink_id: UUID, new: NewSink, *, actor: str) -> RecordSink:
    """Replace the name, the options and the kinds of records; the type and the position stay.

    An empty secret keeps the stored one, which requires the same destination.

    raises  NotFound; InvalidRequest; Conflict if the name is taken; DecryptionError
    """
    with transaction() as session:
        row = _locked(session, account_id, sink_id)
        if new.config.type != row.kind:
            raise InvalidRequest.field("type", "The type of a sink cannot be changed")
        is_complete = new.config.has_all_secrets
        before = public_config_of(row) if is_complete else config_of(row)
        config = new.config.with_secrets_of(before).checked()
        options = config.public()
        changed = [name for name in options if options[name] != before.public()[name]]
        changed += [name for name, secret in new.config.secrets().items() if secret]
        row.name, row.options, row.record_kinds = _name(new), options, _record_kinds(new)
        _encrypt(row, config)
        row.next_at = transactions.now(session)
        try:
            with session.begin_nested():
                session.flush()
        except IntegrityError:
            raise Conflict("Another sink of the account has this name") from None
        _record(session, row, actor, "sink.changed", fields=changed)
    return row


def search(account_id: UUID) -> Sequence[RecordSink]:
    """Return the sinks of the account by name."""
    with transaction(readonly=True) as session:
        return session.scalars(
            select(RecordSink).where(RecordSink.account_id == account_id).order_by(RecordSink.name)
        ).all()


def find(account_id: UUID, sink_id: UUID) -> RecordSink:
    """Return a sink of the account; raises NotFound."""
    with transaction(readonly=True) as session:
        row = session.scalar(_owned(account_id, sink_id))
    if row is None:
        raise NotFound
    return row


def pause(account_id: UUID, sink_id: UUID, *, actor: str) -> None:
    """Stop forwarding until the sink is resumed; raises NotFound."""
    with transaction() as session:
        row = _locked(session, account_id, sink_id)
        if row.paused_at is None:
            row.paused_at = transactions.now(session)
            _record(session, row, actor, "sink.paused")


def resume(account_id: UUID, sink_id: UUID, *, actor: str) -> None:
    """Forward records again from the position at which the sink was paused; raises NotFound."""
    with transaction() as session:
        row = _locked(session, account_id, sink_id)
        row.paused_at = row.failing_since = row.failure = None
        row.failures, row.next_at = 0, transactions.now(session)
        _record(session, row, actor, "sink.resumed")


def skip_waiting(account_id: UUID, sink_id: UUID, *, actor: str) -> None:
    """Leave out all records that are waiting; only later ones are forwarded; raises NotFound."""
    record_log.number(account_id)
    with transaction() as session:
        account = session.get_one(Account, account_id, with_for_update={"key_share": True})
        row = _locked(session, account_id, sink_id)
        row.sequence, row.offset = account.last_record_sequence + 1, 0
        row.lease_token += 1  # a running attempt does not move the position back
        _record(session, row, actor, "sink.skipped")


def remove(account_id: UUID, sink_id: UUID, *, actor: str) -> None:
    """Delete the sink with its secret; raises NotFound."""
    with transaction() as session:
        row = _locked(session, account_id, sink_id)
        session.delete(row)
        _record(session, row, actor, "sink.removed")


def config_of(row: RecordSink) -> SinkConfig:
    """Return the options of a stored sink with its secret.

    raises  DecryptionError
    """
    secret = row.secret_encrypted and encryption.decrypt(row.secret_encrypted, purpose(row))
    return registry.stored(row.kind, row.options, secret or "")


def public_config_of(row: RecordSink) -> SinkConfig:
    """Return the options of a stored sink; its secret is empty."""
    return registry.stored(row.kind, row.options, "")


def deployment() -> Deployment:
    """Return the settings of this process that sink types need."""
    current = settings.current()
    return Deployment(
        host_name=urlsplit(current.base_url).hostname or "localhost",
        timeout_seconds=current.delivery_seconds,
    )


def purpose(row: RecordSink) -> str:
    """Return the purpose for which the secret of the sink is encrypted."""
    return f"sink:{row.id}"


def _encrypt(row: RecordSink, config: SinkConfig) -> None:
    secret = next(iter(config.secrets().values()), "")
    row.secret_encrypted = encryption.encrypt(secret, purpose(row)) if secret else None


def _name(new: NewSink) -> str:
    name = new.name.strip()
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise InvalidRequest.field("name", "Enter 1 to 100 printable characters")
    return name


def _record_kinds(new: NewSink) -> list[str]:
    unknown = set(new.record_kinds) - set(kinds.NAMES)
    if unknown:
        raise InvalidRequest.field("record_kinds", f"Choose from: {', '.join(kinds.NAMES)}")
    return [name for name in kinds.NAMES if name in new.record_kinds] or list(kinds.NAMES)


def _insert(session: Session, row: RecordSink) -> None:
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        raise Conflict("Another sink of the account has this name") from None


def _owned(account_id: UUID, sink_id: UUID) -> Select[RecordSink]:
    return select(RecordSink).where(RecordSink.account_id == account_id, RecordSink.id == sink_id)


def _locked(session: Session, account_id: UUID, sink_id: UUID) -> RecordSink:
    row = session.scalar(_owned(account_id, sink_id).with_for_update())
    if row is None:
        raise NotFound
    return row


def _record(session: Session, row: RecordSink, actor: str, action: str, **details: Any) -> None:
    target = ids.public(PREFIX, row.id)
    details["name"] = row.name
    audit_log.record(session, row.account_id, actor=actor, action=action, target=target, **details)

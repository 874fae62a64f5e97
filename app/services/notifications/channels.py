"""Channels: where an account's alerts are sent to. Added, listed, changed, tested, removed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import ids, settings
from app.channels import chat, email, webhook
from app.channels.types import BadTarget
from app.checks.engine.types import Severity
from app.db import transactions
from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound, QuotaExceeded, ServiceUnavailable
from app.models import Channel, Delivery
from app.ports.dns import LookupFailed
from app.ports.network import Network, SessionFactory
from app.services.core import audit_log, encryption
from app.services.notifications import feed, outbox, recipients

MAX_CHANNELS = 50
MAX_GRACE = timedelta(days=7)
MAX_TESTS = 5  # an hour, of one channel


@dataclass(frozen=True, slots=True)
class NewChannel:
    """A name of its own within the account, and which alerts it gets; see ``models.Channel``."""

    name: str
    min_severity: Severity = Severity.INFO
    types: Sequence[str] = ()
    tags: Sequence[str] = ()
    domains: Sequence[str] = ()
    cadence: str = "immediate"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is kept under a seal.

    keys    of a webhook, the present one first
    until   when a former one ends
    url     the address of a chat service
    """

    keys: tuple[str, ...] = ()
    until: str | None = None
    url: str | None = None


def add_webhook(
    account_id: UUID, url: str, new: NewChannel, door: Network, *, actor: str
) -> tuple[Channel, str]:
    """The channel, and its secret, which is shown this once.

    raises   InvalidRequest for a URL that must not or cannot be delivered to; Conflict if the name
             is taken; ServiceUnavailable if DNS does not say where the URL leads
    effects  nothing is sent yet
    """
    _check_target(url, door)
    secret = webhook.new_secret()
    return _add(account_id, "webhook", url, new, Secrets((secret,)), actor), secret


def add_email(account_id: UUID, addresses: str, new: NewChannel, *, actor: str) -> Channel:
    """The channel; alerts go to the addresses whose owners confirm.

    addresses  comma-separated
    raises     InvalidRequest, Conflict; QuotaExceeded for too many confirmation emails
    effects    a confirmation email to each address
    """
    try:
        found = email.parse_addresses(addresses)
    except BadTarget as error:
        raise InvalidRequest.field("addresses", str(error)) from None
    return _add(account_id, "email", ",".join(found), new, None, actor)


def add_chat(account_id: UUID, url: str, new: NewChannel, *, actor: str) -> Channel:
    """The channel; its address is a secret, and only the service's name is shown from now on.

    raises  InvalidRequest for what is no address of one of ``chat.SERVICES``; Conflict
    """
    try:
        service = chat.parse(url).service
    except BadTarget as error:
        raise InvalidRequest.field("url", str(error)) from None
    return _add(account_id, "chat", service.name, new, Secrets(url=url), actor)


def chat_forms() -> Sequence[tuple[str, str]]:
    """The name of each chat or paging service, and what its addresses look like."""
    return [(service.name, service.form) for service in chat.SERVICES.values()]


def target_error(channel: Channel) -> str | None:
    """Why nothing can be sent to it just now; None if something can."""
    if channel.disabled_at is not None:
        return f"disabled: {channel.disabled_reason or 'by a person'}"
    if channel.kind == "email" and settings.current().smtp_url is None:
        return email.NOT_SET
    if channel.kind == "email" and not recipients.has_confirmed(channel.id):
        return recipients.NONE_CONFIRMED
    return None


def search(account_id: UUID) -> Sequence[Channel]:
    """The account's channels, by name."""
    with transaction(readonly=True) as session:
        return session.scalars(
            select(Channel).where(Channel.account_id == account_id).order_by(Channel.name)
        ).all()


def find(account_id: UUID, ref: str) -> Channel:
    """The channel of this id (``chan_…``) or name.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        return owned(session, account_id, ref)


def owned(session: Session, account_id: UUID, ref: str) -> Channel:
    """As ``find``, as a step; the row is locked until the commit."""
    channel_id = ids.parse("chan", ref)
    wanted = Channel.id == channel_id if channel_id else Channel.name == ref
    channel = session.scalar(
        select(Channel).where(Channel.account_id == account_id, wanted).with_for_update()
    )
    if channel is None:
        raise NotFound
    return channel


def rotate_secret(
    account_id: UUID, ref: str, grace: timedelta, *, actor: str
) -> tuple[Channel, str]:
    """A new secret, shown this once; for the grace deliveries are signed with the old one too.

    raises  NotFound; InvalidRequest for what is no webhook, or a grace above 7 days
    """
    if not timedelta(0) <= grace <= MAX_GRACE:
        raise InvalidRequest.field("grace", "0 to 7 days")
    with transaction() as session:
        channel = owned(session, account_id, ref)
        if channel.kind != "webhook":
            raise InvalidRequest.field("channel", "only webhooks have a secret")
        secret = webhook.new_secret()
        until = transactions.now(session) + grace
        former = decrypt_secrets(channel).keys[0]
        _encrypt_secrets(channel, Secrets((secret, former), until.isoformat()))
        channel.updated_at = transactions.now(session)
        _note(session, channel, actor, "channel.secret_rotated", ends=until.isoformat())
        return channel, secret


def enable(account_id: UUID, ref: str, *, actor: str) -> Channel:
    """Send again; what waited is sent now, what was given up meanwhile can be replayed.

    raises  NotFound; InvalidRequest for a chat channel whose address is not accepted
    """
    with transaction() as session:
        channel = owned(session, account_id, ref)
        if not _has_accepted_address(channel):
            raise InvalidRequest.field("channel", chat.NOT_ACCEPTED)
        channel.disabled_at = channel.disabled_reason = None
        channel.failing_since = channel.backoff_until = None
        channel.failures = 0
        channel.updated_at = transactions.now(session)
        _note(session, channel, actor, "channel.enabled")
        return channel


def disable(account_id: UUID, ref: str, *, actor: str) -> Channel:
    """Send nothing more; what waits goes on waiting.

    raises  NotFound
    """
    with transaction() as session:
        channel = owned(session, account_id, ref)
        if channel.disabled_at is None:
            channel.disabled_at = channel.updated_at = transactions.now(session)
            _note(session, channel, actor, "channel.disabled")
        return channel


def disable_unaccepted() -> int:
    """Disable the chat channels whose stored address is not accepted; returns how many.

    effects  an alert about each of them opens when the account is next watched
    """
    with transaction() as session:
        rows = session.scalars(
            select(Channel)
            .where(Channel.kind == "chat", Channel.disabled_at.is_(None))
            .order_by(Channel.id)
            .with_for_update(skip_locked=True)
        ).all()
        refused = [channel for channel in rows if not _has_accepted_address(channel)]
        for channel in refused:
            give_up(session, channel, chat.NOT_ACCEPTED)
        return len(refused)


def give_up(session: Session, channel: Channel, reason: str) -> None:
    """Disable the channel for its own failures, with all that waits; a step."""
    now = transactions.now(session)
    channel.disabled_at = channel.updated_at = now
    channel.disabled_reason = reason
    session.execute(
        update(Delivery)
        .where(Delivery.channel_id == channel.id, Delivery.status == "pending")
        .values(status="dead", error=f"the channel was disabled: {reason}", finished_at=now)
    )
    _note(session, channel, "system", "channel.disabled", reason=reason)


def remove(account_id: UUID, ref: str, *, actor: str) -> None:
    """Delete the channel, with the log of its deliveries.

    raises  NotFound
    """
    with transaction() as session:
        channel = owned(session, account_id, ref)
        session.delete(channel)
        _note(session, channel, actor, "channel.removed")


def test(account_id: UUID, ref: str, *, actor: str) -> UUID:
    """Have a test event sent to this channel only, in the way of all others; the event's id.

    raises  NotFound; InvalidRequest if it is disabled or no recipient has confirmed; QuotaExceeded
            after MAX_TESTS in an hour
    """
    with transaction() as session:
        channel = owned(session, account_id, ref)
        if channel.disabled_at is not None:
            raise InvalidRequest.field("channel", "it is disabled")
        if channel.kind == "email" and not recipients.confirmed(session, channel.id):
            raise InvalidRequest.field("channel", recipients.NONE_CONFIRMED)
        recent = outbox.tests_since(
            session, channel, transactions.now(session) - timedelta(hours=1)
        )
        if recent >= MAX_TESTS:
            raise QuotaExceeded(f"A channel can be tested {MAX_TESTS} times an hour.", 3600)
        _note(session, channel, actor, "channel.tested")
        return outbox.record_test(session, account_id, channel.id, transactions.now(session))


def decrypt_secrets(channel: Channel) -> Secrets:
    """Its secrets.

    raises  sealing.Unsealable
    """
    if channel.secret_encrypted is None:
        return Secrets()
    found = json.loads(encryption.decrypt(channel.secret_encrypted, _purpose(channel)))
    return Secrets(tuple(found["keys"]), found["until"], found["url"])


def renew_sealing(session: Session, channel: Channel) -> None:
    """Seal its secrets again with the current key of the process, if an older one has."""
    encryption.renew(
        session, Channel.secret_encrypted, channel.id, channel.secret_encrypted, _purpose(channel)
    )


def keys_at(secrets: Secrets, now: datetime) -> Sequence[str]:
    """Those that deliveries are signed with now."""
    is_over = secrets.until is None or now >= datetime.fromisoformat(secrets.until)
    return secrets.keys[:1] if is_over else secrets.keys


def _add(
    account_id: UUID, kind: str, target: str, new: NewChannel, kept: Secrets | None, actor: str
) -> Channel:
    _check(new)
    if kind != "email" and new.cadence != "immediate":
        raise InvalidRequest.field("cadence", "only mail comes in digests")
    try:
        with transaction() as session:
            count = session.scalar(
                select(func.count()).select_from(Channel).where(Channel.account_id == account_id)
            )
            if (count or 0) >= MAX_CHANNELS:
                raise InvalidRequest.field("name", f"an account may have {MAX_CHANNELS} channels")
            channel = Channel(
                id=ids.new(),
                account_id=account_id,
                kind=kind,
                target=target,
                name=new.name.strip(),
                min_severity=new.min_severity.value,
                types=list(new.types),
                tags=list(new.tags),
                domains=list(new.domains),
                cadence=new.cadence,
                digest_at=feed.next_digest(new.cadence, transactions.now(session)),
                created_by=actor,
            )
            if kept is not None:
                _encrypt_secrets(channel, kept)
            session.add(channel)
            session.flush()  # the name may be taken, and that is to be known here
            if kind == "email":
                recipients.add(session, channel, target.split(","))
            _note(session, channel, actor, "channel.added", kind=kind)
            return channel
    except IntegrityError:
        existing = find(account_id, new.name.strip())
        raise Conflict(
            f"There is a channel {existing.name} already",
            existingId=ids.public("chan", existing.id),
        ) from None


def _check(new: NewChannel) -> None:
    if not 1 <= len(new.name.strip()) <= 100 or not new.name.isprintable():
        raise InvalidRequest.field("name", "1 to 100 printable characters")
    if ids.parse("chan", new.name.strip()):
        raise InvalidRequest.field("name", "it looks like the id of a channel")
    for field, words in (("types", new.types), ("tags", new.tags), ("domains", new.domains)):
        if len(words) > 100 or any(not word or len(word) > 253 for word in words):
            raise InvalidRequest.field(field, "up to 100 words of 1 to 253 characters")


def _check_target(url: str, door: Network) -> None:
    current = settings.current()
    try:
        target = webhook.parse(url, current.egress_ports)

        async def look(open_answers: SessionFactory) -> None:
            await webhook.check(open_answers(), target)

        door.run(look)
    except BadTarget as error:
        raise InvalidRequest.field("url", str(error)) from None
    except LookupFailed as error:
        raise ServiceUnavailable(f"DNS does not say where the URL leads: {error}") from None


def _has_accepted_address(channel: Channel) -> bool:
    """False only for a chat channel whose address can be read and is none of ``chat.SERVICES``."""
    if channel.kind != "chat":
        return True
    try:
        chat.parse(decrypt_secrets(channel).url or "")
    except BadTarget:
        return False
    except encryption.DecryptionError:
        return True  # each delivery says so, and the channel is disabled after five days
    return True


def _encrypt_secrets(channel: Channel, kept: Secrets) -> None:
    text = json.dumps({"keys": kept.keys, "until": kept.until, "url": kept.url})
    channel.secret_encrypted = encryption.encrypt(text, _purpose(channel))


def _purpose(channel: Channel) -> str:
    return f"channel:{channel.id}"


def _note(session: Session, channel: Channel, actor: str, action: str, **details: Any) -> None:
    audit_log.record(
        session,
        channel.account_id,
        actor=actor,
        action=action,
        target=ids.public("chan", channel.id),
        name=channel.name,
        **details,
    )

"""Channels: the destinations of an account's alerts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Unpack
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import ids, settings
from app.channels import post
from app.channels.registry import CHANNEL_TYPES
from app.channels.types import BadTarget, ChannelConfig, ChannelType, ParsedTarget
from app.checks.engine.types import Severity
from app.db import transactions
from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound, QuotaExceeded, ServiceUnavailable
from app.models import Channel, Delivery
from app.models.stored_json import AuditDetails
from app.ports.dns import LookupFailed
from app.ports.network import Network, SessionFactory
from app.services.audit import audit_log
from app.services.core import encryption
from app.services.notifications import channel_secrets, feed, outbox, recipients

MAX_CHANNELS = 50
MAX_GRACE = timedelta(days=7)
MAX_TESTS = 5  # an hour, of one channel


@dataclass(frozen=True, slots=True)
class NewChannel:
    """A channel to add; for the filters see ``models.Channel``.

    name    unique within the account
    type    the name of a channel type
    target  what a person entered: a URL or addresses
    """

    name: str
    type: str
    target: str
    min_severity: Severity = Severity.INFO
    types: Sequence[str] = ()
    tags: Sequence[str] = ()
    domains: Sequence[str] = ()
    cadence: str = "immediate"


def add(
    account_id: UUID, new: NewChannel, network: Network, *, actor: str
) -> tuple[Channel, str | None]:
    """Add a channel, and return it with its signing secret, which is shown only once.

    raises   InvalidRequest for a target that cannot be used; Conflict if the name is taken;
             ServiceUnavailable if the host of the target cannot be looked up; QuotaExceeded for
             too many confirmation emails
    effects  a confirmation email to each recipient; nothing else is sent
    """
    type = CHANNEL_TYPES[new.type]
    try:
        target = type.parse(new.target, config())
    except BadTarget as error:
        raise InvalidRequest.field(type.target_field, str(error)) from None
    if target.host is not None:
        _expect_public_host(target.host, type, network)
    _check(new)
    if not type.has_digests and new.cadence != "immediate":
        raise InvalidRequest.field("cadence", "only email channels can send digests")
    try:
        channel = _insert(account_id, new, target, actor)
    except IntegrityError:
        existing = find(account_id, new.name.strip())
        raise Conflict(
            f"A channel named {existing.name} already exists",
            existingId=ids.public("chan", existing.id),
        ) from None
    return channel, target.secrets.keys[0] if type.has_signing_secret and target.secrets else None


def config() -> ChannelConfig:
    """Return the settings of this process that channel types need."""
    current = settings.current()
    return ChannelConfig(
        webhook_ports=current.egress_ports,
        smtp_url=current.smtp_url,
        mail_from=current.mail_from,
        base_url=current.base_url,
        timeout_seconds=current.delivery_seconds,
    )


def type_of(channel: Channel) -> ChannelType:
    """Return the type of the channel."""
    return CHANNEL_TYPES[channel.kind]


def target_error(session: Session, channel: Channel) -> str | None:
    """Return why nothing can be sent to the channel now; None if it is ready.

    Runs in the caller's transaction.
    """
    if channel.disabled_at is not None:
        return f"disabled: {channel.disabled_reason or 'by a user'}"
    type = type_of(channel)
    if error := type.configuration_error(config()):
        return error
    if type.has_recipients and not recipients.confirmed(session, channel.id):
        return recipients.NONE_CONFIRMED
    return None


def find(account_id: UUID, ref: str) -> Channel:
    """Return the channel with this id (``chan_…``) or name.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        return owned(session, account_id, ref)


def owned(session: Session, account_id: UUID, ref: str, *, lock: bool = False) -> Channel:
    """As ``find``, in the caller's transaction; ``lock`` locks the row until the commit."""
    channel_id = ids.parse("chan", ref)
    is_requested = Channel.id == channel_id if channel_id else Channel.name == ref
    statement = select(Channel).where(Channel.account_id == account_id, is_requested)
    channel = session.scalar(statement.with_for_update() if lock else statement)
    if channel is None:
        raise NotFound
    return channel


def rotate_secret(
    account_id: UUID, ref: str, grace: timedelta, *, actor: str
) -> tuple[Channel, str]:
    """Return the channel and its new signing secret, which is shown only once.

    grace   for this time deliveries are signed with the old secret too
    raises  NotFound; InvalidRequest for a channel without a secret, or a grace above 7 days
    """
    if not timedelta(0) <= grace <= MAX_GRACE:
        raise InvalidRequest.field("grace", "0 to 7 days")
    with transaction() as session:
        channel = owned(session, account_id, ref, lock=True)
        type = type_of(channel)
        if not type.has_signing_secret:
            raise InvalidRequest.field("channel", "only webhooks have a secret")
        until = transactions.now(session) + grace
        secrets = type.rotated(channel_secrets.decrypt(channel), until)
        channel_secrets.encrypt(channel, secrets)
        channel.updated_at = transactions.now(session)
        _record(session, channel, actor, "channel.secret_rotated", ends=until.isoformat())
        return channel, secrets.keys[0]


def enable(account_id: UUID, ref: str, *, actor: str) -> Channel:
    """Enable the channel: pending deliveries are sent now, and failed ones can be replayed.

    raises  NotFound; InvalidRequest if its stored target is no longer accepted
    """
    with transaction() as session:
        channel = owned(session, account_id, ref, lock=True)
        if error := _stored_error(channel):
            raise InvalidRequest.field("channel", error)
        channel.disabled_at = channel.disabled_reason = None
        channel.failing_since = channel.backoff_until = None
        channel.failures = 0
        channel.updated_at = transactions.now(session)
        _record(session, channel, actor, "channel.enabled")
        return channel


def disable(account_id: UUID, ref: str, *, actor: str) -> Channel:
    """Disable the channel; its deliveries stay pending.

    raises  NotFound
    """
    with transaction() as session:
        channel = owned(session, account_id, ref, lock=True)
        if channel.disabled_at is None:
            channel.disabled_at = channel.updated_at = transactions.now(session)
            _record(session, channel, actor, "channel.disabled")
        return channel


def disable_unaccepted() -> int:
    """Disable the channels whose stored target is no longer accepted, and return how many.

    effects  an alert about each of them opens when the account is next monitored
    """
    names = [type.name for type in CHANNEL_TYPES.values() if type.is_target_secret]
    with transaction() as session:
        rows = session.scalars(
            select(Channel)
            .where(Channel.kind.in_(names), Channel.disabled_at.is_(None))
            .order_by(Channel.id)
            .with_for_update(skip_locked=True)
        ).all()
        errors = [(channel, error) for channel in rows if (error := _stored_error(channel))]
        for channel, error in errors:
            give_up(session, channel, error)
        return len(errors)


def give_up(session: Session, channel: Channel, reason: str) -> None:
    """Disable the channel and fail its deliveries; runs in the caller's transaction."""
    now = transactions.now(session)
    channel.disabled_at = channel.updated_at = now
    channel.disabled_reason = reason
    session.execute(
        update(Delivery)
        .where(Delivery.channel_id == channel.id, Delivery.status == "pending")
        .values(status="dead", error=f"the channel was disabled: {reason}", finished_at=now)
    )
    _record(session, channel, "system", "channel.disabled", reason=reason)


def remove(account_id: UUID, ref: str, *, actor: str) -> None:
    """Delete the channel and its delivery log.

    raises  NotFound
    """
    with transaction() as session:
        channel = owned(session, account_id, ref, lock=True)
        session.delete(channel)
        _record(session, channel, actor, "channel.removed")


def test(account_id: UUID, ref: str, *, actor: str) -> UUID:
    """Queue a test event for this channel only, and return the event's id.

    raises  NotFound; InvalidRequest if it is disabled or no recipient has confirmed; QuotaExceeded
            after MAX_TESTS in an hour
    """
    with transaction() as session:
        channel = owned(session, account_id, ref, lock=True)
        if channel.disabled_at is not None:
            raise InvalidRequest.field("channel", "the channel is disabled; enable it first")
        if type_of(channel).has_recipients and not recipients.confirmed(session, channel.id):
            raise InvalidRequest.field("channel", recipients.NONE_CONFIRMED)
        recent = outbox.tests_since(
            session, channel, transactions.now(session) - timedelta(hours=1)
        )
        if recent >= MAX_TESTS:
            raise QuotaExceeded(f"A channel can be tested at most {MAX_TESTS} times an hour.", 3600)
        _record(session, channel, actor, "channel.tested")
        return outbox.record_test(session, account_id, channel.id, transactions.now(session))


def _insert(account_id: UUID, new: NewChannel, target: ParsedTarget, actor: str) -> Channel:
    """Insert the channel.

    raises  IntegrityError if the name is taken
    """
    with transaction() as session:
        count = session.scalar(
            select(func.count()).select_from(Channel).where(Channel.account_id == account_id)
        )
        if (count or 0) >= MAX_CHANNELS:
            raise InvalidRequest.field(
                "name", f"an account can have at most {MAX_CHANNELS} channels"
            )
        channel = Channel(
            id=ids.new(),
            account_id=account_id,
            kind=new.type,
            target=target.shown,
            name=new.name.strip(),
            min_severity=new.min_severity.value,
            types=list(new.types),
            tags=list(new.tags),
            domains=list(new.domains),
            cadence=new.cadence,
            digest_at=feed.next_digest(new.cadence, transactions.now(session)),
            created_by=actor,
        )
        if target.secrets is not None:
            channel_secrets.encrypt(channel, target.secrets)
        session.add(channel)
        session.flush()  # raises IntegrityError here if the name is taken
        recipients.add(session, channel, target.recipients)
        _record(session, channel, actor, "channel.added", kind=new.type)
        return channel


def _check(new: NewChannel) -> None:
    if not 1 <= len(new.name.strip()) <= 100 or not new.name.isprintable():
        raise InvalidRequest.field("name", "enter 1 to 100 printable characters")
    if ids.parse("chan", new.name.strip()):
        raise InvalidRequest.field("name", "the name must not look like a channel id")
    for field, words in (("types", new.types), ("tags", new.tags), ("domains", new.domains)):
        if len(words) > 100 or any(not word or len(word) > 253 for word in words):
            raise InvalidRequest.field(field, "enter up to 100 values of 1 to 253 characters")


def _expect_public_host(host: str, type: ChannelType, network: Network) -> None:
    """Check that the host has addresses, and public ones only.

    raises  InvalidRequest; ServiceUnavailable if the lookup fails
    """

    async def refusal(new_session: SessionFactory) -> str | None:
        return await new_session().refusal(host)

    try:
        failure = network.run(refusal)
    except LookupFailed as error:
        raise ServiceUnavailable(f"The DNS lookup of the host failed: {error}") from None
    if failure is not None:
        raise InvalidRequest.field(type.target_field, post.FAILURES[failure])


def _stored_error(channel: Channel) -> str | None:
    """Return why the stored target of the channel is not accepted; None if it is accepted."""
    type = type_of(channel)
    if not type.is_target_secret:
        return None
    try:
        return type.stored_error(channel_secrets.decrypt(channel))
    except encryption.DecryptionError:
        return None  # each delivery fails with this error, and the channel is given up


def _record(
    session: Session, channel: Channel, actor: str, action: str, **details: Unpack[AuditDetails]
) -> None:
    details["name"] = channel.name
    audit_log.record(
        session,
        channel.account_id,
        actor=actor,
        action=action,
        target=ids.public("chan", channel.id),
        **details,
    )

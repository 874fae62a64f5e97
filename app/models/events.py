"""Events of alerts, the channels that they are sent to, and the deliveries."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app import ids, wall_clock
from app.db.types import Base, BoundedText, Json, PlainText, UtcDateTime
from app.models.stored_json import EventBody

_Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite auto-increments INTEGER keys only


class Event(Base):
    """An event, written in the transaction of the change that it reports.

    number    the order of writing; for one alert this is the order of its changes, because its row
              is locked
    sequence  the number within the account, assigned after the commit (``feed.distribute``)
    body      the JSON for webhooks and the feed, without id and sequence; it never changes
    """

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("account_id", "sequence"),
        Index(
            "ix_events_unnumbered",
            "account_id",
            sqlite_where=text("sequence IS NULL"),
            postgresql_where=text("sequence IS NULL"),
        ),
        Index(None, "at"),
        Index(None, "alert_id"),
    )

    number: Mapped[int] = mapped_column(_Number, primary_key=True)
    id: Mapped[UUID] = mapped_column(unique=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    sequence: Mapped[int | None] = mapped_column(BigInteger)
    type: Mapped[str] = mapped_column(BoundedText(32))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    alert_id: Mapped[UUID | None] = mapped_column()
    body: Mapped[EventBody] = mapped_column(Json)


class Channel(Base):
    """A destination of events, with the filters that select them.

    kind              the name of a channel type (``app.channels.registry``)
    target            the URL, the addresses, or the service; it contains no secret
    secret_encrypted  the secrets as encrypted JSON (``channels.types.StoredSecrets``)
    types             filter of alert types; a final ``*`` matches any rest; empty: all types
    tags              filter of domain tags; empty: all domains, and alerts about the account
    domains           filter of domain names; empty: all domains, and alerts about the account
    cadence           ``immediate``, or ``daily`` or ``weekly`` for a digest
    digest_at         when the next digest is due
    failures          the number of consecutive failures since ``failing_since``
    backoff_until     no attempt is made before
    lease_token       counts the leases; a lease ends at ``lease_until`` or with its process
    disabled_at       since when nothing is sent: disabled by a person, or after too many failures
    """

    __tablename__ = "channels"
    __table_args__ = (
        UniqueConstraint("account_id", "name"),
        CheckConstraint("cadence IN ('immediate', 'daily', 'weekly')", name="cadence"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(BoundedText(16))
    name: Mapped[str] = mapped_column(BoundedText(100))
    target: Mapped[str] = mapped_column(BoundedText(2000))
    secret_encrypted: Mapped[str | None] = mapped_column(PlainText)
    min_severity: Mapped[str] = mapped_column(BoundedText(10), default="info")
    types: Mapped[list[str]] = mapped_column(Json, default=list)
    tags: Mapped[list[str]] = mapped_column(Json, default=list)
    domains: Mapped[list[str]] = mapped_column(Json, default=list)
    cadence: Mapped[str] = mapped_column(BoundedText(10), default="immediate")
    digest_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failures: Mapped[int] = mapped_column(default=0)
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_success_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    backoff_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_token: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_holder: Mapped[str | None] = mapped_column(BoundedText(120))
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    disabled_reason: Mapped[str | None] = mapped_column(BoundedText(200))
    created_by: Mapped[str] = mapped_column(BoundedText(300))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)


class WeeklySummary(Base):
    """When an email channel sends its weekly summary; without the row it sends none.

    weekday    0 for Monday; with ``hour`` in ``time_zone``
    next_at    when the next one is due
    period_at  the start of the period that the next one is about
    """

    __tablename__ = "weekly_summaries"
    __table_args__ = (Index(None, "next_at"), Index(None, "account_id"))

    channel_id: Mapped[UUID] = mapped_column(
        ForeignKey("channels.id", ondelete="CASCADE"), primary_key=True
    )
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    weekday: Mapped[int] = mapped_column()
    hour: Mapped[int] = mapped_column()
    time_zone: Mapped[str] = mapped_column(BoundedText(64))
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    period_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ChannelRecipient(Base):
    """One address of an email channel.

    status        ``pending`` until the person confirms; only ``confirmed`` ones are sent alerts
    digest        SHA-256 of the token in the last confirmation email
    requested_at  when that email was enqueued; None: not enqueued yet
    """

    __tablename__ = "channel_recipients"
    __table_args__ = (
        UniqueConstraint("channel_id", "address"),
        UniqueConstraint("digest"),
        CheckConstraint("status IN ('pending', 'confirmed', 'unsubscribed')", name="status"),
        Index(None, "account_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    channel_id: Mapped[UUID] = mapped_column(ForeignKey("channels.id", ondelete="CASCADE"))
    address: Mapped[str] = mapped_column(BoundedText(320))
    status: Mapped[str] = mapped_column(BoundedText(16), default="pending")
    digest: Mapped[str | None] = mapped_column(BoundedText(64))
    requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    unsubscribed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)


class Delivery(Base):
    """The delivery of one event to one channel.

    alert_id      None for a test event
    status        ``pending``, ``delivered``, ``dead`` (given up; can be replayed) or ``skipped``
                  (a digest without a problem)
    next_at       when the next attempt is due
    error         why the last attempt failed
    delivered_to  of an email channel: ids of the recipients that it has reached
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("channel_id", "event_number"),
        CheckConstraint("status IN ('pending', 'delivered', 'dead', 'skipped')", name="status"),
        Index(
            "ix_deliveries_pending",
            "channel_id",
            "next_at",
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "ix_deliveries_in_order",
            "channel_id",
            text("(alert_id IS NOT NULL)"),
            "event_number",
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index(None, "finished_at"),
        Index(None, "event_number"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    channel_id: Mapped[UUID] = mapped_column(ForeignKey("channels.id", ondelete="CASCADE"))
    event_number: Mapped[int] = mapped_column(
        _Number, ForeignKey("events.number", ondelete="CASCADE")
    )
    alert_id: Mapped[UUID | None] = mapped_column()
    status: Mapped[str] = mapped_column(BoundedText(10), default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    response_status: Mapped[int | None] = mapped_column()
    error: Mapped[str | None] = mapped_column(BoundedText(300))
    delivered_to: Mapped[list[str] | None] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

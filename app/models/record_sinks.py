"""Sinks: systems that the records of an account are forwarded to."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app import ids, wall_clock
from app.db.types import Base, BoundedText, Json, PlainText, UtcDateTime


class RecordSink(Base):
    """A system that new records of an account are forwarded to.

    kind              the name of a sink type (``app.sinks.registry``)
    options           the options of the type; they contain no secret
    secret_encrypted  the secret option or the signing secret
    record_kinds      the kinds of records that are forwarded
    sequence, offset  the position of the next record in the stream
    failures          the number of consecutive failures since ``failing_since``
    failure           why the last attempt failed; None if it succeeded
    next_at           no attempt is made before
    paused_at         when the sink was paused; nothing is sent until it is resumed
    forwarded_count   the number of records that the receiver has accepted
    skipped_count     the number of records that the receiver refused
    skipped           the last of them: the reason by the id of the record
    lease_token       counts the leases; a lease ends at ``lease_until`` or with its process
    """

    __tablename__ = "record_sinks"
    __table_args__ = (UniqueConstraint("account_id", "name"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(BoundedText(16))
    name: Mapped[str] = mapped_column(BoundedText(100))
    options: Mapped[dict[str, str]] = mapped_column(Json)
    secret_encrypted: Mapped[str | None] = mapped_column(PlainText)
    record_kinds: Mapped[list[str]] = mapped_column(Json)
    sequence: Mapped[int] = mapped_column(BigInteger, default=0)
    offset: Mapped[int] = mapped_column(BigInteger, default=0)
    failures: Mapped[int] = mapped_column(default=0)
    failure: Mapped[str | None] = mapped_column(BoundedText(500))
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    succeeded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    forwarded_count: Mapped[int] = mapped_column(BigInteger, default=0)
    skipped_count: Mapped[int] = mapped_column(BigInteger, default=0)
    skipped: Mapped[dict[str, str] | None] = mapped_column(Json)
    lease_token: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_holder: Mapped[str | None] = mapped_column(BoundedText(120))
    created_by: Mapped[str] = mapped_column(BoundedText(300))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)

"""Alerts and their history."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app import ids, wall_clock
from app.checks.engine.types import StoredFix
from app.db.types import Base, BoundedText, Json, UtcDateTime
from app.protocols.json_values import JsonObject

# A dismissed alert still counts as live, so that the same problem opens no other alert.
LIVE = ("open", "acknowledged", "snoozed", "dismissed")
STATUSES = (*LIVE, "resolved")
_LIVE_SQL = "status <> 'resolved'"
ACTIVE = ("open", "acknowledged")  # those that lists count as open alerts
_ACTIVE_SQL = "status IN ('open', 'acknowledged')"
# ``Severity.rank`` in the database, as text: an index is used only for the very same expression.
SEVERITY_RANK_SQL = (
    "CASE severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2"
    " WHEN 'low' THEN 3 ELSE 4 END"
)


class Alert(Base):
    """A problem that needs attention, once for each (domain, type, subject) until it is resolved.

    domain_id       None if the alert is about the account itself
    type            the code of a finding, or the type of a rule
    subject         what is affected within the domain: mostly the name of a record
    evidence        the observations; the keys depend on the type
    reminded_at     when the last notification that it is open was sent
    accepted_until  until then ``risk_owner`` accepts the risk, and the alert is dismissed
    assignee        the address of the user who deals with the alert
    scan_id         the last scan that opened, refreshed or resolved the alert
    cause_id        the same for all alerts that one scan opened for one cause
    """

    __tablename__ = "alerts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["account_id", "domain_id"],
            ["domains.account_id", "domains.id"],
            ondelete="CASCADE",
        ),
        Index(
            "uq_alerts_live",
            "domain_id",
            "type",
            "subject",
            unique=True,
            sqlite_where=text(_LIVE_SQL),
            postgresql_where=text(_LIVE_SQL),
        ),
        Index(
            "uq_alerts_live_of_account",
            "account_id",
            "type",
            "subject",
            unique=True,
            sqlite_where=text(f"domain_id IS NULL AND {_LIVE_SQL}"),
            postgresql_where=text(f"domain_id IS NULL AND {_LIVE_SQL}"),
        ),
        Index(None, "account_id", "id"),
        Index(None, "account_id", "status", "id"),
        Index(
            "ix_alerts_by_severity",
            "account_id",
            "status",
            text(f"({SEVERITY_RANK_SQL})"),
            text("id DESC"),
        ),
        Index(None, "domain_id", "status"),
        Index(None, "cause_id"),
        Index(
            "ix_alerts_resolved",
            "account_id",
            "resolved_at",
            sqlite_where=text("resolved_at IS NOT NULL"),
            postgresql_where=text("resolved_at IS NOT NULL"),
        ),
        Index(
            "ix_alerts_active",
            "account_id",
            "domain_id",
            "severity",
            sqlite_where=text(_ACTIVE_SQL),
            postgresql_where=text(_ACTIVE_SQL),
        ),
        CheckConstraint(
            "status IN ('open', 'acknowledged', 'snoozed', 'dismissed', 'resolved')", name="status"
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    domain_id: Mapped[UUID | None] = mapped_column()
    domain_name: Mapped[str | None] = mapped_column(BoundedText(253))
    type: Mapped[str] = mapped_column(BoundedText(64))
    subject: Mapped[str] = mapped_column(BoundedText(300))
    severity: Mapped[str] = mapped_column(BoundedText(10))
    status: Mapped[str] = mapped_column(BoundedText(16), default="open")
    title: Mapped[str] = mapped_column(BoundedText(200))
    message: Mapped[str] = mapped_column(BoundedText(1000))
    evidence: Mapped[JsonObject] = mapped_column(Json, default=dict)
    fix: Mapped[StoredFix | None] = mapped_column(Json)
    reference: Mapped[str | None] = mapped_column(BoundedText(200))
    first_seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    occurrences: Mapped[int] = mapped_column(default=1)
    snoozed_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    accepted_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    risk_owner: Mapped[str | None] = mapped_column(BoundedText(200))
    assignee: Mapped[str | None] = mapped_column(BoundedText(254))
    reminded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    resolved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    scan_id: Mapped[UUID | None] = mapped_column()
    cause_id: Mapped[UUID | None] = mapped_column(default=ids.new)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)


class AlertTransition(Base):
    """One change of an alert's status.

    type         the type of the event that reports the change; ``alert.commented`` and
                 ``alert.assigned`` are not reported
    from_status  None if the alert was opened; ``to_status`` if something else changed
    evidence     the observations, especially those that resolved the alert
    """

    __tablename__ = "alert_transitions"
    __table_args__ = (Index(None, "alert_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    alert_id: Mapped[UUID] = mapped_column(ForeignKey("alerts.id", ondelete="CASCADE"))
    account_id: Mapped[UUID] = mapped_column()
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=wall_clock.now)
    type: Mapped[str | None] = mapped_column(BoundedText(32))
    from_status: Mapped[str | None] = mapped_column(BoundedText(16))
    to_status: Mapped[str] = mapped_column(BoundedText(16))
    actor: Mapped[str] = mapped_column(BoundedText(300))
    note: Mapped[str | None] = mapped_column(BoundedText(1000))
    evidence: Mapped[JsonObject | None] = mapped_column(Json)

"""The conditions of the retention rules: which rows have been stored for long enough."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, exists, or_, select, true
from sqlalchemy.orm import aliased

from app import settings
from app.models import (
    Alert,
    ApiKey,
    DmarcFlow,
    Domain,
    Event,
    RecordLogEntry,
    Scan,
    SenderHost,
)
from app.models.scans import UNFINISHED
from app.services.domains import erasure

Condition = ColumnElement[bool]


def is_free(table: Table) -> Condition:
    """Return the condition that a row does not belong to a domain on legal hold."""
    held = Domain.legal_hold_at.is_not(None)
    if "domain_id" in table.c:
        held_ids = select(Domain.id).where(held)
        return or_(table.c.domain_id.is_(None), table.c.domain_id.not_in(held_ids))
    if table.name in ("events", "deliveries"):
        on_hold = select(Alert.id).join(Domain, Domain.id == Alert.domain_id).where(held)
        return or_(table.c.alert_id.is_(None), table.c.alert_id.not_in(on_hold))
    if table.name in ("audit_events", "raw_files"):  # any row may be about the domain
        return table.c.account_id.not_in(select(Domain.account_id).where(held))
    if table.name == "report_files":
        is_of_held_domain = exists().where(
            held,
            Domain.account_id == table.c.account_id,
            or_(
                table.c.policy_domain.is_(None),
                table.c.policy_domain == Domain.name,
                table.c.policy_domain.like("%." + Domain.name),
            ),
        )
        return ~is_of_held_domain
    return true()


def before(column: Any, setting: str) -> Callable[[datetime], Condition]:
    """Return the condition that a time is older than the setting's days."""

    def condition(now: datetime) -> Condition:
        days: int = getattr(settings.current(), setting.lower())
        return column < now - timedelta(days=days)  # type: ignore[no-any-return]

    return condition


def older(column: Any, age: timedelta) -> Callable[[datetime], Condition]:
    """Return the condition that a time is older than a fixed age."""
    return lambda now: column < now - age


def record_log(now: datetime) -> Condition:
    """Return the condition for entries about records that were deleted long ago."""
    current = settings.current()
    days = max(
        current.report_retention_days,
        current.failure_report_retention_days,
        current.scan_retention_days,
        current.event_retention_days,
    )
    return RecordLogEntry.at < now - timedelta(days=days)


def unchanged_scans(now: datetime) -> Condition:
    """Return the condition for scans without changes, except the first and the last of a domain.

    Scans that an alert refers to stay, and so do scans of earlier releases, which did not store
    whether anything changed.
    """
    days = settings.current().unchanged_scan_retention_days
    other = aliased(Scan)
    is_ended = or_(
        and_(Scan.status == "completed", Scan.has_changes.is_(False)),
        Scan.status.in_(("failed", "cancelled")),
    )
    same = other.domain_id == Scan.domain_id
    completed = other.status == "completed"
    return and_(
        Scan.requested_at < now - timedelta(days=days),
        is_ended,
        exists().where(same, completed, other.id < Scan.id),
        exists().where(same, completed, other.id > Scan.id),
        ~exists().where(Alert.domain_id == Scan.domain_id, Alert.scan_id == Scan.id),
    )


def old_scans(now: datetime) -> Condition:
    """Return the condition for old scans, except the last completed one of a domain."""
    days = settings.current().scan_retention_days
    other = aliased(Scan)
    is_followed = exists().where(
        other.domain_id == Scan.domain_id, other.status == "completed", other.id > Scan.id
    )
    return and_(
        Scan.requested_at < now - timedelta(days=days),
        Scan.status.not_in(UNFINISHED),
        is_followed,
    )


def inactive_keys(now: datetime) -> Condition:
    """Return the condition for keys that ended long ago and that no other key has replaced."""
    old = now - timedelta(days=settings.current().api_key_retention_days)
    later = aliased(ApiKey)
    return and_(
        or_(ApiKey.revoked_at < old, ApiKey.expires_at < old),
        ~exists().where(later.rotated_from == ApiKey.id),
    )


def inactive(table: Any) -> Callable[[datetime], Condition]:
    """Return the condition for tokens that were revoked or expired long ago."""

    def condition(now: datetime) -> Condition:
        old = now - timedelta(days=settings.current().api_key_retention_days)
        return or_(table.revoked_at < old, table.expires_at < old)

    return condition


def events_of_deleted_domains(now: datetime) -> Condition:
    """Return the condition for events whose alert was deleted with its domain."""
    return and_(
        Event.alert_id.is_not(None),
        ~exists().where(Alert.id == Event.alert_id),
        Event.at < now - erasure.EVENTS_GRACE,
    )


def unused_hosts(now: datetime) -> Condition:
    """Return the condition for hosts that no flow refers to."""
    is_used = exists().where(DmarcFlow.source_ip == SenderHost.address)
    return and_(SenderHost.looked_up_at < now - timedelta(days=1), ~is_used)


def day_before(column: Any, setting: str) -> Callable[[datetime], Condition]:
    """Return the condition that a date is older than the setting's days."""

    def condition(now: datetime) -> Condition:
        days: int = getattr(settings.current(), setting.lower())
        return column < (now - timedelta(days=days)).date()  # type: ignore[no-any-return]

    return condition

"""The schemas of alerts and events."""

from datetime import datetime
from typing import Any

from pydantic import Field

from app.api.http.endpoint import Schema
from app.api.v1.schemas import Fix
from app.checks.engine.types import Severity


class Alert(Schema):
    """A problem of a domain or of the account."""

    id: str
    domain_id: str | None = Field(description="null for an alert about the account")
    domain_name: str | None
    type: str
    subject: str = Field(description="the part of the domain that the alert is about")
    dedup_key: str = Field(description="the same for the same domain, type and subject")
    severity: Severity
    status: str = Field(description="open, acknowledged, snoozed, dismissed or resolved")
    title: str
    message: str
    evidence: dict[str, Any]
    fix: Fix | None
    reference: str | None
    why: str | None = Field(
        description="the consequence, in one sentence; null unless the type is a finding code"
    )
    remediation: str | None = Field(
        description="what to do, with code in back quotes; null like ``why``"
    )
    docs_url: str = Field(description="URL of the documentation of the type")
    runbook: str = Field(description="the same URL as ``docsUrl``, for older clients")
    first_seen_at: datetime
    last_seen_at: datetime
    occurrences: int
    snoozed_until: datetime | None
    accepted_until: datetime | None = Field(
        description="end of the acceptance, for an accepted risk"
    )
    risk_owner: str | None
    resolved_at: datetime | None
    scan_id: str | None
    cause_id: str = Field(description="the same for all alerts that one scan opened for one cause")
    updated_at: datetime


class AlertTransition(Schema):
    """A status change of an alert."""

    id: str
    at: datetime
    from_status: str | None
    to_status: str
    type: str | None = Field(description="type of the event with the same id")
    actor: str
    note: str | None
    evidence: dict[str, Any] | None = Field(description="evidence for the change")


class Event(Schema):
    """An event of the account, in the same form as the body of a webhook."""

    id: str
    sequence: int = Field(description="position in the feed, without gaps within the account")
    type: str
    timestamp: datetime
    data: dict[str, Any]


class AlertChanged(Schema):
    """The result for one alert of a batch."""

    id: str
    status: str = Field(description="changed or rejected")
    alert: Alert | None
    error: dict[str, Any] | None


class AlertsChanged(Schema):
    """The results for a batch of alerts."""

    changed: int
    rejected: int
    results: list[AlertChanged]

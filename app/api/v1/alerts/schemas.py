"""Alerts and events as the API's documents describe them."""

from datetime import datetime
from typing import Any

from pydantic import Field

from app.api.http.endpoint import Schema
from app.api.v1.schemas import Fix
from app.checks.engine.types import Severity


class Alert(Schema):
    """Something that needs attention."""

    id: str
    domain_id: str | None = Field(description="null: it is about the account itself")
    domain_name: str | None
    type: str
    subject: str = Field(description="what it is about within the domain")
    dedup_key: str = Field(description="the same for the same (domain, type, subject)")
    severity: Severity
    status: str = Field(description="open, acknowledged, snoozed, dismissed or resolved")
    title: str
    message: str
    evidence: dict[str, Any]
    fix: Fix | None
    reference: str | None
    runbook: str = Field(description="where it is written what it means and what to do")
    first_seen_at: datetime
    last_seen_at: datetime
    occurrences: int
    snoozed_until: datetime | None
    accepted_until: datetime | None = Field(description="a risk accepted by riskOwner until then")
    risk_owner: str | None
    resolved_at: datetime | None
    scan_id: str | None
    updated_at: datetime


class AlertTransition(Schema):
    """One change of an alert's status."""

    id: str
    at: datetime
    from_status: str | None
    to_status: str
    type: str | None = Field(description="that of the event of the same id")
    actor: str
    note: str | None
    evidence: dict[str, Any] | None = Field(description="what was seen, above all what resolved it")


class Event(Schema):
    """Something that happened, as webhooks carry it too."""

    id: str
    sequence: int = Field(description="without a gap within the account, in the order of the feed")
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

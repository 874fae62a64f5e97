"""The schemas of alerts and events."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from app.api.http import fields
from app.api.http.endpoint import Schema
from app.api.v1.schemas import Fix, ItemError
from app.checks.engine.types import Severity

EventType = Literal[
    "alert.opened",
    "alert.escalated",
    "alert.reopened",
    "alert.acknowledged",
    "alert.snoozed",
    "alert.dismissed",
    "alert.reminded",
    "alert.resolved",
]


class Alert(Schema):
    """A problem of a domain or of the account."""

    id: str = Field(description="The id of the alert.")
    domain_id: str | None = Field(description="null for an alert about the account")
    domain_name: str | None = Field(
        description="The name of the domain; null for an alert about the account."
    )
    type: str = Field(description="The alert type: the code of a finding, or the type of a rule.")
    subject: str = Field(description="the part of the domain that the alert is about")
    dedup_key: str = Field(description="the same for the same domain, type and subject")
    severity: Severity = Field(description="The severity.")
    status: fields.AlertStatus = Field(
        description="The status. A resolved alert never changes again.",
    )
    title: str = Field(description="What is wrong, in one line.")
    message: str = Field(description="What is wrong, as a sentence with the domain.")
    evidence: dict[str, Any] = Field(description="The observations. The keys depend on the type.")
    fix: Fix | None = Field(
        description="The DNS change that solves the problem; null if there is none."
    )
    reference: str | None = Field(description="The section of the standard; null if there is none.")
    why: str | None = Field(
        description="the consequence, in one sentence; null unless the type is a finding code"
    )
    remediation: str | None = Field(
        description="what to do, with code in back quotes; null like ``why``"
    )
    docs_url: str = Field(description="URL of the documentation of the type")
    runbook: str = Field(description="the same URL as ``docsUrl``, for older clients")
    first_seen_at: datetime = Field(description="When the problem was seen first.")
    last_seen_at: datetime = Field(description="When the problem was seen last.")
    occurrences: int = Field(description="How many times the problem was seen.")
    snoozed_until: datetime | None = Field(
        description="When a snoozed alert reopens; null if it is not snoozed."
    )
    accepted_until: datetime | None = Field(
        description="end of the acceptance, for an accepted risk"
    )
    risk_owner: str | None = Field(
        description="The person who accepted the risk; null if it is not accepted."
    )
    assignee: str | None = Field(
        description="The user that the alert is assigned to in the dashboard; null for no one."
    )
    resolved_at: datetime | None = Field(
        description="When the alert was resolved; null until then."
    )
    scan_id: str | None = Field(
        description="The last scan that opened, refreshed or resolved the alert; null if a report "
        "did."
    )
    cause_id: str = Field(description="the same for all alerts that one scan opened for one cause")
    updated_at: datetime = Field(description="When the alert changed last.")


class AlertTransition(Schema):
    """A status change of an alert."""

    id: str = Field(description="The id of the change, and of its event.")
    at: datetime = Field(description="When the status changed.")
    from_status: fields.AlertStatus | None = Field(
        description="The status before the change; null for the first one."
    )
    to_status: fields.AlertStatus = Field(description="The status after the change.")
    type: EventType | Literal["alert.commented", "alert.assigned"] | None = Field(
        description="The type of the event with the same id. Comments and assignments, which do "
        "not change the status, have no event.",
    )
    actor: str = Field(description="Who made the change: `system`, a user or an API key.")
    note: str | None = Field(description="The note of the change; null if there is none.")
    evidence: dict[str, Any] | None = Field(description="evidence for the change")


class AlertChanged(Schema):
    """The result for one alert of a batch."""

    id: str = Field(description="The id from the request.")
    status: Literal["changed", "rejected"] = Field(
        description="Whether the alert was changed.",
    )
    alert: Alert | None = Field(description="The alert after the change; null if it was rejected.")
    error: ItemError | None = Field(description="Why the change was rejected; null if it was made.")


class AlertsChanged(Schema):
    """The results for a batch of alerts."""

    changed: int = Field(description="The number of changed alerts.")
    rejected: int = Field(description="The number of rejected changes.")
    results: list[AlertChanged] = Field(
        description="The result for each id, in the order of the request."
    )

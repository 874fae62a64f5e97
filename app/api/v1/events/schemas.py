"""The schemas of events, which are also the bodies of webhooks."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, RootModel

from app.api.http import fields
from app.api.http.endpoint import Schema
from app.api.v1.alerts.schemas import Alert, EventType


class StatusChange(Schema):
    """The change of an alert that an event reports."""

    from_status: fields.AlertStatus | None = Field(
        description="The status before the change; null for the first one."
    )
    to_status: fields.AlertStatus = Field(description="The status after the change.")
    actor: str = Field(description="Who made the change: `system`, a user or an API key.")
    note: str | None = Field(description="The note of the change; null if there is none.")
    evidence: dict[str, Any] | None = Field(
        description="The evidence for the change; null if there is none."
    )


class AlertEventData(Schema):
    """An alert after a change, and the change."""

    alert: Alert = Field(description="The alert after the change.")
    transition: StatusChange = Field(description="The change.")


class TestEventData(Schema):
    """The content of a test."""

    channel_id: str = Field(description="The id of the tested notification channel.")
    message: str = Field(description="A text for people.")


class _Event(Schema):
    id: str = Field(description="The id of the event.")
    sequence: int = Field(description="Position in the feed, without gaps within the account.")
    timestamp: datetime = Field(description="When the event happened.")


class AlertEvent(_Event):
    """A change of an alert."""

    type: EventType = Field(description="What happened.")
    data: AlertEventData = Field(description="The alert and its change.")


class TestEvent(_Event):
    """A test of a notification channel."""

    type: Literal["test"] = Field(description="What happened.")
    data: TestEventData = Field(description="The content of the test.")


class Event(RootModel[Annotated[AlertEvent | TestEvent, Field(discriminator="type")]]):
    """An event of the account, in the same form as the body of a webhook."""


class EventRow(_Event):
    """An event as a row of CSV, with its data as JSON."""

    type: EventType | Literal["test"] = Field(description="What happened.")
    data: dict[str, Any] = Field(description="The data of the event.")

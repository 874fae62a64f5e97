"""Alerts: the list, one alert with its history, and changes by people."""

from typing import Annotated

from flask import Blueprint, Response
from pydantic import Field

from app import ids
from app.api.http import fields, lists, responses
from app.api.http.auth import current
from app.api.http.endpoint import Body, endpoint
from app.api.http.lists import SerializedRowCache
from app.api.v1 import exports
from app.api.v1.alerts import schemas
from app.api.v1.domains.views import problem
from app.api.v1.exports import ExportablePeriod, Table
from app.checks.engine.types import Severity
from app.models.keys import Scope
from app.services.alerts import alerts
from app.services.alerts.alerts import AlertChange, AlertFilter
from app.services.core.privacy import public_actor
from app.services.notifications import outbox

bp = Blueprint("alerts", __name__, url_prefix="/alerts")

_row_cache = SerializedRowCache(outbox.alert_as_json)
_TABLE = Table("alerts", schemas.Alert, outbox.alert_as_json)


class AlertQuery(ExportablePeriod):
    """Filters of the list of alerts."""

    status: fields.AlertStatus | None = None
    severity: Severity | None = None
    type: fields.Text | None = None
    domain: fields.Name | None = None
    accepted: bool | None = None


class ChangeBody(Body):
    """A change of an alert."""

    status: fields.AlertAction
    note: fields.Note | None = None
    snoozed_until: fields.Timestamp | None = None
    accepted_until: fields.Timestamp | None = None
    risk_owner: Annotated[fields.Text, Field(max_length=200)] | None = None

    @property
    def change(self) -> AlertChange:
        """The change as the service expects it."""
        return AlertChange(
            status=self.status,
            note=self.note,
            snoozed_until=self.snoozed_until,
            accepted_until=self.accepted_until,
            risk_owner=self.risk_owner,
        )


class ManyBody(ChangeBody):
    """A change of several alerts."""

    ids: list[fields.Text] = Field(min_length=1, max_length=500)


@bp.get("")
@endpoint(
    scopes=(Scope.ALERTS_READ,), query=AlertQuery, returns=schemas.Alert, is_list=True, exports=True
)
def index(query: AlertQuery) -> Response:
    """List alerts."""
    listing = alerts.listing(current().account_id, lists.filters(query, AlertFilter))
    return exports.answer(listing, query, _TABLE, _row_cache)


@bp.get("/<id>")
@endpoint(scopes=(Scope.ALERTS_READ,), returns=schemas.Alert)
def show(id: str) -> Response:
    """Get an alert."""
    alert = alerts.find(current().account_id, fields.path_id("alert", id))
    return responses.item(outbox.alert_as_json(alert), version=alert.updated_at)


@bp.get("/<id>/history")
@endpoint(
    scopes=(Scope.ALERTS_READ,),
    returns=schemas.AlertTransition,
    is_list=True,
)
def history(id: str) -> Response:
    """List the changes of an alert."""
    rows = alerts.history(current().account_id, fields.path_id("alert", id))
    data = [
        {
            "id": ids.public("evt", row.id),
            "at": responses.time(row.at),
            "fromStatus": row.from_status,
            "toStatus": row.to_status,
            "actor": public_actor(row.actor),
            "note": row.note,
            "type": row.type,
            "evidence": row.evidence,
        }
        for row in rows
    ]
    return responses.page(data, fields.NoQuery(), None)


@bp.patch("/<id>")
@endpoint(scopes=(Scope.ALERTS_WRITE,), body=ChangeBody, returns=schemas.Alert, errors=(412,))
def change(id: str, body: ChangeBody) -> Response:
    """Acknowledge, dismiss, snooze or reopen an alert."""
    caller = current()
    alert = alerts.change(
        caller.account_id,
        fields.path_id("alert", id),
        body.change,
        actor=caller.actor,
        expected=responses.expected_version(),
    )
    return responses.item(outbox.alert_as_json(alert), version=alert.updated_at)


@bp.post("/batch")
@endpoint(scopes=(Scope.ALERTS_WRITE,), body=ManyBody, returns=schemas.AlertsChanged)
def change_many(body: ManyBody) -> Response:
    """Update up to 500 alerts."""
    caller = current()
    changed = alerts.change_many(caller.account_id, body.ids, body.change, actor=caller.actor)
    data = [
        {
            "id": result.id,
            "status": "changed" if result.alert else "rejected",
            "alert": outbox.alert_as_json(result.alert) if result.alert else None,
            "error": problem(result.error),
        }
        for result in changed.results
    ]
    return responses.item(
        {
            "changed": changed.changed_count,
            "rejected": changed.rejected_count,
            "results": data,
        }
    )

"""Alerts: listed, shown, their history, and what people make of them."""

from typing import Annotated

from flask import Blueprint, Response
from pydantic import Field

from app import ids
from app.api import alert_shapes, answers, inputs
from app.api.auth import current
from app.api.contract import Body, endpoint
from app.api.domains import problem
from app.api.remembered import Remembered
from app.api.scans import parsed
from app.checks.contract import Severity
from app.models.keys import Scope
from app.services import alerts, events
from app.services.alerts import AlertChange, AlertFilter
from app.services.privacy import public_actor

bp = Blueprint("alerts", __name__, url_prefix="/alerts")

_remembered = Remembered(events.alert_as_json)


class AlertQuery(inputs.Span):
    """Which alerts."""

    status: inputs.AlertStatus | None = None
    severity: Severity | None = None
    type: inputs.Text | None = None
    domain: inputs.Name | None = None
    accepted: bool | None = None


class ChangeBody(Body):
    """What is to become of the alert."""

    status: inputs.AlertWish
    note: inputs.Note | None = None
    snoozed_until: inputs.Moment | None = None
    accepted_until: inputs.Moment | None = None
    risk_owner: Annotated[inputs.Text, Field(max_length=200)] | None = None

    @property
    def wanted(self) -> AlertChange:
        """As the service takes it."""
        return AlertChange(
            self.status, self.note, self.snoozed_until, self.accepted_until, self.risk_owner
        )


class ManyBody(ChangeBody):
    """The same for many alerts."""

    ids: list[inputs.Text] = Field(min_length=1, max_length=500)


@bp.get("")
@endpoint(scopes=(Scope.ALERTS_READ,), query=AlertQuery, returns=alert_shapes.Alert, is_list=True)
def index(query: AlertQuery) -> Response:
    """The account's alerts, newest first."""
    filters = AlertFilter(
        status=query.status,
        severity=query.severity,
        type=query.type,
        domain=query.domain,
        accepted=query.accepted,
        from_at=query.from_at,
        to_at=query.to_at,
    )
    rows, place = alerts.search(
        current().account_id, filters, place=answers.place(query), limit=query.limit
    )
    return answers.many([_remembered(row) for row in rows], query, place)


@bp.get("/<id>")
@endpoint(scopes=(Scope.ALERTS_READ,), returns=alert_shapes.Alert)
def show(id: str) -> Response:
    """One alert."""
    alert = alerts.find(current().account_id, parsed("alert", id))
    return answers.one(events.alert_as_json(alert), version=alert.updated_at)


@bp.get("/<id>/history")
@endpoint(
    scopes=(Scope.ALERTS_READ,),
    returns=alert_shapes.AlertTransition,
    is_list=True,
)
def history(id: str) -> Response:
    """Every change of its status, oldest first."""
    rows = alerts.history(current().account_id, parsed("alert", id))
    data = [
        {
            "id": ids.public("evt", row.id),
            "at": answers.time(row.at),
            "fromStatus": row.from_status,
            "toStatus": row.to_status,
            "actor": public_actor(row.actor),
            "note": row.note,
            "type": row.type,
            "evidence": row.evidence,
        }
        for row in rows
    ]
    return answers.many(data, inputs.Nothing(), None)


@bp.patch("/<id>")
@endpoint(scopes=(Scope.ALERTS_WRITE,), body=ChangeBody, returns=alert_shapes.Alert)
def change(id: str, body: ChangeBody) -> Response:
    """Acknowledge, dismiss, snooze or reopen an alert."""
    caller = current()
    alert = alerts.change(
        caller.account_id,
        parsed("alert", id),
        body.wanted,
        actor=caller.actor,
        expected=answers.expected_version(),
    )
    return answers.one(events.alert_as_json(alert), version=alert.updated_at)


@bp.post("/batch")
@endpoint(scopes=(Scope.ALERTS_WRITE,), body=ManyBody, returns=alert_shapes.AlertsChanged)
def change_many(body: ManyBody) -> Response:
    """Do the same to up to 500 alerts."""
    caller = current()
    done = alerts.change_many(caller.account_id, body.ids, body.wanted, actor=caller.actor)
    results = [
        {
            "id": item.id,
            "status": "changed" if item.alert else "rejected",
            "alert": events.alert_as_json(item.alert) if item.alert else None,
            "error": problem(item.error),
        }
        for item in done
    ]
    changed = sum(1 for item in done if item.alert)
    return answers.one({"changed": changed, "rejected": len(done) - changed, "results": results})

"""The page of an alert in the dashboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.db.transactions import transaction
from app.models import Alert, AlertTransition
from app.services.alerts import alerts
from app.services.core import finding_docs


@dataclass(frozen=True, slots=True)
class AlertPage:
    """An alert with its history, from one snapshot.

    documentation  why it matters and what to do, as in ``finding_docs.explain``, with its ``code``
    transitions    every status change, oldest first
    """

    alert: Alert
    documentation: Mapping[str, Any]
    transitions: Sequence[AlertTransition]


def find(account_id: UUID, alert_id: UUID) -> AlertPage:
    """Return the alert with its documentation and history.

    raises  NotFound
    """
    with transaction(readonly=True, snapshot=True) as session:
        alert = alerts.owned(session, account_id, alert_id)
        return AlertPage(
            alert=alert,
            documentation={"code": alert.type, **finding_docs.explain(alert.type)},
            transitions=alerts.read_history(session, alert_id),
        )

"""The page of an alert in the dashboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.db.transactions import transaction
from app.models import Alert, AlertTransition
from app.services.alerts import alert_lists, alert_notes, alerts
from app.services.alerts.alert_lists import ListFilter, Neighbors
from app.services.core import finding_docs


@dataclass(frozen=True, slots=True)
class AlertPage:
    """An alert with its history, from one snapshot.

    documentation  why it matters and what to do, as in ``finding_docs.explain``, with its ``code``
    transitions    every status change, comment and assignment, oldest first
    neighbors      the alerts before and after it in the list
    assignees      the addresses of the users whom it can be assigned to
    """

    alert: Alert
    documentation: Mapping[str, Any]
    transitions: Sequence[AlertTransition]
    neighbors: Neighbors
    assignees: Sequence[str]


def find(account_id: UUID, alert_id: UUID, filters: ListFilter) -> AlertPage:
    """Return the alert with its documentation, its history, and its neighbors in the list.

    raises  NotFound
    """
    with transaction(readonly=True, snapshot=True) as session:
        alert = alerts.owned(session, account_id, alert_id)
        return AlertPage(
            alert=alert,
            documentation={"code": alert.type, **finding_docs.explain(alert.type)},
            transitions=alerts.read_history(session, alert_id),
            neighbors=alert_lists.neighbors(session, alert, filters),
            assignees=alert_notes.assignees(session, account_id),
        )

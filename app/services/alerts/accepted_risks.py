"""Accepted risks: alerts that are dismissed until a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select

from app.db.transactions import transaction
from app.models import Alert, AlertTransition
from app.services.alerts import alerts
from app.services.core.listing import Listing


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One accepted risk.

    alert   its columns, as in ``alerts.COLUMNS``
    reason  why it was accepted
    actor   who accepted it, not necessarily the risk owner
    """

    alert: Any
    reason: str | None
    actor: str


def search(
    account_id: UUID, *, cursor_values: Sequence[Any] | None = None, limit: int = 50
) -> tuple[Sequence[Acceptance], list[Any] | None]:
    """Return the accepted risks, first to expire first, and the next page's cursor values."""
    statement: Any = select(*alerts.COLUMNS).where(
        Alert.account_id == account_id,
        Alert.status == "dismissed",
        Alert.accepted_until.is_not(None),
    )
    listing = Listing(statement, (Alert.accepted_until, Alert.id))
    rows, following = listing.page(cursor_values, limit)
    with transaction(readonly=True) as session:
        transitions = session.execute(
            select(AlertTransition.alert_id, AlertTransition.note, AlertTransition.actor)
            .where(
                AlertTransition.alert_id.in_([row.id for row in rows]),
                AlertTransition.to_status == "dismissed",
            )
            .order_by(AlertTransition.id)
        )
        last = {alert_id: (note, actor) for alert_id, note, actor in transitions}
    return [Acceptance(row, *last.get(row.id, (None, ""))) for row in rows], following

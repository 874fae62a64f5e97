"""The evaluation of rules: it opens, refreshes and resolves alerts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, cast
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import ids
from app.models import Account, Alert, Domain
from app.models.alerts import LIVE
from app.models.stored_json import ChangedAlerts, NotEvaluated
from app.rules.engine import reconcile
from app.rules.engine.types import Causes, P, Rule
from app.services.alerts import transitions
from app.services.alerts.causes import CauseIds
from app.services.alerts.transitions import Sighting, Transition


@dataclass(frozen=True, slots=True)
class Evaluation(Generic[P]):
    """What the rules are applied to.

    owner    the domain or account that the alerts are about
    live     the unresolved alerts of the owner, locked
    scan_id  the scan that triggered the evaluation; None for scheduled tasks
    causes   of a scan: what a root cause holds back, and which alerts have one cause
    """

    owner: Domain | Account
    posture: P
    live: Iterable[Alert]
    scan_id: UUID | None = None
    causes: Causes | None = None


def live_alerts(session: Session, domain_ids: Iterable[UUID]) -> Mapping[UUID, list[Alert]]:
    """Return the unresolved alerts by domain, locked; runs in the caller's transaction."""
    by_domain: dict[UUID, list[Alert]] = {}
    for alert in session.scalars(
        select(Alert)
        .where(Alert.domain_id.in_(list(domain_ids)), Alert.status.in_(LIVE))
        .order_by(Alert.id)
        .with_for_update()
    ):
        by_domain.setdefault(cast(UUID, alert.domain_id), []).append(alert)
    return by_domain


def live_account_alerts(session: Session, account_id: UUID) -> Sequence[Alert]:
    """Return the unresolved alerts about the account itself, locked.

    Runs in the caller's transaction.
    """
    return session.scalars(
        select(Alert)
        .where(Alert.account_id == account_id, Alert.domain_id.is_(None), Alert.status.in_(LIVE))
        .order_by(Alert.id)
        .with_for_update()
    ).all()


def evaluate(
    session: Session, evaluation: Evaluation[P], rules: Sequence[Rule[P]]
) -> ChangedAlerts:
    """Apply the rules to the live alerts, and return the ids of the alerts that changed.

    Runs in the caller's transaction. Alerts of types that no rule has are ignored.
    """
    posture, scan_id = evaluation.posture, evaluation.scan_id
    plan = reconcile.plan(evaluation.live, posture, rules, evaluation.causes)
    seen = Sighting(posture.now, scan_id, CauseIds(evaluation.causes, plan.sustained))
    for alert, draft in plan.sustained:
        transitions.refresh(session, alert, draft, seen)
    evidence_by_type = {type: rule.resolution_evidence for rule in rules for type in rule.types}
    for alert in plan.resolved:
        evidence = dict(evidence_by_type[alert.type](posture))
        if scan_id is not None:
            alert.scan_id = scan_id
            evidence["scanId"] = ids.public("scan", scan_id)
        note = "the problem is no longer seen"
        change = Transition("resolved", note=note, evidence=evidence or None)
        transitions.transition(session, alert, change, posture.now)
    opened = transitions.open_alert(session, evaluation.owner, plan.opened, seen)
    return {
        "opened": [ids.public("alert", alert_id) for alert_id in opened],
        "sustained": [ids.public("alert", alert.id) for alert, _ in plan.sustained],
        "resolved": [ids.public("alert", alert.id) for alert in plan.resolved],
        "notEvaluated": _not_evaluated(plan.not_evaluated, evaluation.causes),
    }


def _not_evaluated(types: Sequence[str], causes: Causes | None) -> NotEvaluated | None:
    if causes is None or not types:
        return None
    return {"types": list(types), "reason": causes.reason}

"""Alerts: rules open, refresh and resolve them; people acknowledge, snooze and dismiss them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, cast
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from app import ids
from app.db import transactions
from app.db.transactions import transaction
from app.errors import ApplicationError, InvalidRequest, NotFound, PreconditionFailed
from app.models import Account, Alert, AlertTransition, Domain
from app.models.alerts import LIVE
from app.models.stored_json import AuditDetails, ChangedAlerts, NotEvaluated
from app.protocols import timestamps
from app.rules.engine import reconcile
from app.rules.engine.types import Causes, P, Rule
from app.services.alerts import transitions
from app.services.alerts.causes import CauseIds
from app.services.alerts.transitions import Sighting, Transition
from app.services.audit import audit_log
from app.services.core import alert_types
from app.services.core.listing import FilteredTable

COLUMNS = (
    Alert.id,
    Alert.domain_id,
    Alert.domain_name,
    Alert.type,
    Alert.subject,
    Alert.severity,
    Alert.status,
    Alert.title,
    Alert.message,
    Alert.evidence,
    Alert.fix,
    Alert.reference,
    Alert.first_seen_at,
    Alert.last_seen_at,
    Alert.occurrences,
    Alert.snoozed_until,
    Alert.accepted_until,
    Alert.risk_owner,
    Alert.resolved_at,
    Alert.scan_id,
    Alert.cause_id,
    Alert.updated_at,
)


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Filters for alerts; ``domain`` is an id or a name, the times bound ``first_seen_at``.

    type         a type, or a group such as ``dmarc.*``; ``domain_part``: a part of the name
    accepted  True for accepted risks only, False for all other alerts
    """

    status: str | None = None
    severity: str | None = None
    type: str | None = None
    domain: str | None = None
    domain_part: str | None = None
    accepted: bool | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


def _conditions(filters: AlertFilter) -> Iterable[ColumnElement[bool]]:
    if filters.type:
        yield alert_types.condition(Alert.type, filters.type)
    if filters.domain_part:
        yield Alert.domain_name.contains(filters.domain_part.lower(), autoescape=True)
    if filters.accepted is not None:
        is_accepted = Alert.accepted_until.is_not(None)
        yield is_accepted if filters.accepted else ~is_accepted


_LISTS = FilteredTable(
    table=Alert,
    columns=COLUMNS,
    equals=("status", "severity"),
    time_column=Alert.first_seen_at,
    conditions=_conditions,
)


@dataclass(frozen=True, slots=True)
class AlertChange:
    """A change by a person: open, acknowledged, snoozed until a time, or dismissed.

    accepted_until  with dismissed: ``risk_owner`` accepts the risk until then, for the reason in
                    ``note``; afterwards the alert reopens
    """

    status: str
    note: str | None = None
    snoozed_until: datetime | None = None
    accepted_until: datetime | None = None
    risk_owner: str | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """The result for one alert of a bulk change: the alert, or the error."""

    id: str
    alert: Alert | None = None
    error: ApplicationError | None = None


@dataclass(frozen=True, slots=True)
class BulkChange:
    """The results of a bulk change, in the order of the request."""

    results: Sequence[Changed]

    @property
    def changed_count(self) -> int:
        """The number of alerts that were changed."""
        return sum(result.alert is not None for result in self.results)

    @property
    def rejected_count(self) -> int:
        """The number of alerts that were not changed."""
        return len(self.results) - self.changed_count


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


def search(
    account_id: UUID,
    filters: AlertFilter,
    *,
    cursor_values: Sequence[Any] | None = None,
    limit: int = 50,
) -> tuple[Sequence[Any], list[Any] | None]:
    """Return rows of COLUMNS, newest first, and the cursor values of the next page, if any.

    raises  NotFound if the domain is not in the account
    """
    return _LISTS.matching(account_id, filters).page(cursor_values, limit)


def live(session: Session, domain_id: UUID) -> Sequence[Any]:
    """Return the unresolved alerts of the domain as rows of COLUMNS, newest first.

    Runs in the caller's transaction.
    """
    return session.execute(
        select(*COLUMNS)
        .where(Alert.domain_id == domain_id, Alert.status.in_(LIVE))
        .order_by(Alert.id.desc())
    ).all()


def find(account_id: UUID, alert_id: UUID) -> Alert:
    """Return the alert with this id.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        return owned(session, account_id, alert_id)


def history(account_id: UUID, alert_id: UUID) -> Sequence[AlertTransition]:
    """Return every status change of the alert, oldest first.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        owned(session, account_id, alert_id)
        return read_history(session, alert_id)


def read_history(session: Session, alert_id: UUID) -> Sequence[AlertTransition]:
    """As ``history``, in the caller's transaction."""
    return session.scalars(
        select(AlertTransition)
        .where(AlertTransition.alert_id == alert_id)
        .order_by(AlertTransition.id)
    ).all()


def change(
    account_id: UUID,
    alert_id: UUID,
    requested: AlertChange,
    *,
    actor: str,
    expected: datetime | None = None,
) -> Alert:
    """Change the alert as a person requested, and return it.

    expected  the ``updated_at`` that the caller has seen
    raises    NotFound; InvalidRequest for a resolved alert, or a snooze in the past;
              PreconditionFailed if the alert has changed since
    """
    with transaction() as session:
        alert = owned(session, account_id, alert_id, lock=True)
        if expected is not None and alert.updated_at != expected:
            raise PreconditionFailed(
                "The alert has changed since you read it (ETag mismatch). Fetch it again and retry"
            )
        _change(session, alert, requested, actor)
        return alert


def change_many(
    account_id: UUID, alert_ids: Sequence[str], requested: AlertChange, *, actor: str
) -> BulkChange:
    """Change each alert, and return the results.

    An alert that cannot be changed does not stop the rest.
    """
    parsed = {text: ids.parse("alert", text) for text in alert_ids}
    with transaction() as session:
        rows = session.scalars(
            select(Alert)
            .where(Alert.account_id == account_id, Alert.id.in_(filter(None, parsed.values())))
            .order_by(Alert.id)
            .with_for_update()
        )
        alerts = {row.id: row for row in rows}
        changed = []
        for text in alert_ids:
            alert_id = parsed[text]
            alert = alerts.get(alert_id) if alert_id else None
            try:
                if alert is None:
                    raise NotFound.of("alert", text)
                _change(session, alert, requested, actor)
                changed.append(Changed(text, alert))
            except ApplicationError as error:
                changed.append(Changed(text, error=error))
        return BulkChange(changed)


def reopen_snoozed() -> int:
    """Reopen alerts whose snooze or accepted risk has expired, and return how many."""
    with transaction() as session:
        now = transactions.now(session)
        is_expired = or_(
            and_(Alert.status == "snoozed", Alert.snoozed_until <= now),
            and_(Alert.status == "dismissed", Alert.accepted_until <= now),
        )
        alerts = session.scalars(
            select(Alert)
            .where(is_expired)
            .order_by(Alert.id)
            .limit(1_000)
            .with_for_update(skip_locked=True)
        ).all()
        for alert in alerts:
            ended = "the snooze" if alert.status == "snoozed" else "the acceptance of the risk"
            transitions.transition(session, alert, Transition("open", note=f"{ended} expired"), now)
        return len(alerts)


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


def _change(session: Session, alert: Alert, requested: AlertChange, actor: str) -> None:
    now = transactions.now(session)
    if alert.status == "resolved":
        raise InvalidRequest.field(
            "status", "a resolved alert cannot be changed; it reopens if the problem recurs"
        )
    if requested.status == "snoozed" and not (
        requested.snoozed_until and requested.snoozed_until > now
    ):
        raise InvalidRequest.field(
            "snoozedUntil", "must be a time in the future when the status is snoozed"
        )
    if requested.status != "snoozed" and requested.snoozed_until is not None:
        raise InvalidRequest.field("snoozedUntil", "allowed only with the status snoozed")
    _check_acceptance(requested, now)
    alert.snoozed_until = requested.snoozed_until
    alert.accepted_until, alert.risk_owner = requested.accepted_until, requested.risk_owner
    transitions.transition(session, alert, Transition(requested.status, actor, requested.note), now)
    audit_log.record(
        session,
        alert.account_id,
        actor=actor,
        action="alert.changed",
        target=ids.public("alert", alert.id),
        **_details(requested),
    )


def _details(requested: AlertChange) -> AuditDetails:
    """The details in the audit log, with those of an accepted risk."""
    details = AuditDetails(status=requested.status, note=requested.note)
    if requested.accepted_until is not None:
        details["accepted_until"] = timestamps.text(requested.accepted_until)
        details["risk_owner"] = requested.risk_owner
    return details


def _check_acceptance(requested: AlertChange, now: datetime) -> None:
    if requested.accepted_until is None and requested.risk_owner is None:
        return
    if requested.status != "dismissed":
        raise InvalidRequest.field("acceptedUntil", "allowed only with the status dismissed")
    if requested.accepted_until is None or requested.accepted_until <= now:
        raise InvalidRequest.field("acceptedUntil", "must be a time in the future to accept a risk")
    if not requested.risk_owner:
        raise InvalidRequest.field("riskOwner", "enter the risk owner")
    if not requested.note:
        raise InvalidRequest.field("note", "enter the reason for accepting the risk")


def owned(session: Session, account_id: UUID, alert_id: UUID, *, lock: bool = False) -> Alert:
    """Return the alert in the caller's transaction; ``lock`` locks its row until the commit.

    raises  NotFound
    """
    statement = select(Alert).where(Alert.account_id == account_id, Alert.id == alert_id)
    alert = session.scalar(statement.with_for_update() if lock else statement)
    if alert is None:
        raise NotFound.of("alert", alert_id)
    return alert

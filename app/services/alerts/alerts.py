"""Alerts: lists of them, and changes by people, who acknowledge, snooze and dismiss them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from app import ids
from app.db import transactions
from app.db.transactions import transaction
from app.errors import ApplicationError, InvalidRequest, NotFound, PreconditionFailed
from app.models import Alert, AlertTransition
from app.models.alerts import LIVE
from app.models.stored_json import AuditDetails
from app.protocols import timestamps
from app.services.alerts import transitions
from app.services.alerts.transitions import Transition
from app.services.audit import audit_log
from app.services.core import alert_types
from app.services.core.listing import FilteredTable, Listing

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
    Alert.assignee,
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
class UndoStep:
    """How to undo the change of one alert: the state before it, and the change itself."""

    alert_id: UUID
    before: AlertChange
    after: AlertChange


@dataclass(frozen=True, slots=True)
class Changed:
    """The result for one alert of a bulk change: the alert with how to undo it, or the error."""

    id: str
    alert: Alert | None = None
    error: ApplicationError | None = None
    undo: UndoStep | None = None


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

    @property
    def undo_steps(self) -> Sequence[UndoStep]:
        """How to undo the changes, for ``undo``."""
        return [result.undo for result in self.results if result.undo is not None]


def listing(account_id: UUID, filters: AlertFilter) -> Listing:
    """Return the list of the account's alerts that match, newest first.

    raises  NotFound if the domain is not in the account
    """
    return _LISTS.matching(account_id, filters)


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
        rows = locked(session, account_id, [id for id in parsed.values() if id])
        alerts = {row.id: row for row in rows}
        changed = []
        for text in alert_ids:
            alert_id = parsed[text]
            alert = alerts.get(alert_id) if alert_id else None
            try:
                if alert is None:
                    raise NotFound.of("alert", text)
                step = UndoStep(alert.id, _state(session, alert), requested)
                _change(session, alert, requested, actor)
                changed.append(Changed(text, alert, undo=step))
            except ApplicationError as error:
                changed.append(Changed(text, error=error))
        return BulkChange(changed)


def undo(account_id: UUID, steps: Sequence[UndoStep], *, actor: str) -> int:
    """Restore the state before a change, and return how many alerts were restored.

    An alert stays unchanged if it has another state than the one that the change gave it, and if
    the time until which it was snoozed or accepted has passed.
    """
    by_id = {step.alert_id: step for step in steps}
    with transaction() as session:
        rows = locked(session, account_id, by_id)
        return sum(_restore(session, alert, by_id[alert.id], actor) for alert in rows)


def locked(session: Session, account_id: UUID, alert_ids: Iterable[UUID]) -> Iterable[Alert]:
    """Return those of the alerts that the account has, locked in the order of their ids.

    Runs in the caller's transaction.
    """
    return session.scalars(
        select(Alert)
        .where(Alert.account_id == account_id, Alert.id.in_(alert_ids))
        .order_by(Alert.id)
        .with_for_update()
    )


def reopen_snoozed() -> int:
    """Reopen alerts whose snooze or accepted risk has expired, and return how many."""
    with transaction() as session:
        now = transactions.now(session)
        alerts = session.scalars(
            select(Alert)
            .where(is_due_again(now))
            .order_by(Alert.id)
            .limit(1_000)
            .with_for_update(skip_locked=True)
        ).all()
        for alert in alerts:
            ended = "the snooze" if alert.status == "snoozed" else "the acceptance of the risk"
            transitions.transition(session, alert, Transition("open", note=f"{ended} expired"), now)
        return len(alerts)


def is_due_again(now: datetime) -> ColumnElement[bool]:
    """Return the condition that the snooze or the accepted risk of an alert has expired."""
    return or_(
        and_(Alert.status == "snoozed", Alert.snoozed_until <= now),
        and_(Alert.status == "dismissed", Alert.accepted_until <= now),
    )


def _state(session: Session, alert: Alert) -> AlertChange:
    """Return the alert's state as a change that restores it."""
    note: str | None = "the last change was undone"
    if alert.accepted_until is not None:  # the list of accepted risks shows the reason
        note = session.scalar(
            select(AlertTransition.note)
            .where(AlertTransition.alert_id == alert.id, AlertTransition.to_status == "dismissed")
            .order_by(AlertTransition.id.desc())
            .limit(1)
        )
    return AlertChange(
        status=alert.status,
        note=note,
        snoozed_until=alert.snoozed_until,
        accepted_until=alert.accepted_until,
        risk_owner=alert.risk_owner,
    )


def _restore(session: Session, alert: Alert, step: UndoStep, actor: str) -> bool:
    state = (alert.status, alert.snoozed_until, alert.accepted_until)
    if state != (step.after.status, step.after.snoozed_until, step.after.accepted_until):
        return False
    try:
        _change(session, alert, step.before, actor)
    except InvalidRequest:
        return False
    return True


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

"""Alerts: opened, sustained and resolved by the rules; acknowledged and dismissed by people."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Row, Select, and_, or_, select
from sqlalchemy.orm import Session

from app import ids
from app.db.transactions import now, transaction
from app.errors import ApplicationError, InvalidRequest, NotFound, PreconditionFailed
from app.models import Account, Alert, AlertTransition, Domain
from app.models.alerts import LIVE
from app.protocols import timestamps
from app.rules.engine import reconcile
from app.rules.engine.types import P, Rule
from app.services.alerts import transitions
from app.services.alerts.transitions import Transition, Trigger
from app.services.core import audit_log, domain_lookup, listing
from app.services.core.listing import Listing
from app.services.notifications import outbox

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
    Alert.report_id,
    Alert.updated_at,
)


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts; ``domain`` is an id or a name, the times bound ``first_seen_at``.

    accepted  whether they are risks that somebody has accepted for a time
    """

    status: str | None = None
    severity: str | None = None
    type: str | None = None
    domain: str | None = None
    accepted: bool | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AlertChange:
    """What a person makes of an alert: open, acknowledged, snoozed until a time, or dismissed.

    accepted_until  with dismissed: the risk is accepted until then, by ``risk_owner``, for the
                    reason in ``note``; afterwards the alert opens again
    """

    status: str
    note: str | None = None
    snoozed_until: datetime | None = None
    accepted_until: datetime | None = None
    risk_owner: str | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of one alert of many: either it, or why not."""

    id: str
    alert: Alert | None = None
    error: ApplicationError | None = None


def search(
    account_id: UUID, filters: AlertFilter, *, place: Sequence[Any] | None = None, limit: int = 50
) -> tuple[Sequence[Any], list[Any] | None]:
    """Rows of COLUMNS, newest first, and the place of the next page, if any.

    raises  NotFound for a domain that the account has not
    """
    domain_id = domain_lookup.find(account_id, filters.domain).id if filters.domain else None
    return _listed(account_id, domain_id, filters).page(place, limit)


@lru_cache(maxsize=512)
def _listed(account_id: UUID, domain_id: UUID | None, filters: AlertFilter) -> Listing:
    wanted = (
        (Alert.domain_id, domain_id),
        (Alert.status, filters.status),
        (Alert.severity, filters.severity),
        (Alert.type, filters.type),
    )
    everything: Select[Any] = select(*COLUMNS).where(Alert.account_id == account_id)
    if filters.accepted is not None:
        is_accepted = Alert.accepted_until.is_not(None)
        everything = everything.where(is_accepted if filters.accepted else ~is_accepted)
    statement = listing.apply_filters(everything, wanted, Alert.first_seen_at, filters)
    return Listing(statement, (Alert.id.desc(),))


def live(account_id: UUID, ref: str) -> Sequence[Row[Any]]:
    """Rows of COLUMNS: all of the domain's that are not resolved, newest first.

    raises  NotFound for a domain that the account has not
    """
    with transaction(readonly=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        return session.execute(
            select(*COLUMNS)
            .where(Alert.domain_id == domain.id, Alert.status.in_(LIVE))
            .order_by(Alert.id.desc())
        ).all()


def find(account_id: UUID, alert_id: UUID) -> Alert:
    """The alert.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        return _owned(session, account_id, alert_id)


def history(account_id: UUID, alert_id: UUID) -> Sequence[AlertTransition]:
    """Every change of its status, oldest first.

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        _owned(session, account_id, alert_id)
        return session.scalars(
            select(AlertTransition)
            .where(AlertTransition.alert_id == alert_id)
            .order_by(AlertTransition.id)
        ).all()


def change(
    account_id: UUID,
    alert_id: UUID,
    wanted: AlertChange,
    *,
    actor: str,
    expected: datetime | None = None,
) -> Alert:
    """The alert, changed by a person.

    expected  its ``updated_at`` as the caller knows it
    raises    NotFound; InvalidRequest for a resolved alert, or a snooze that is over already;
              PreconditionFailed if it was changed since
    """
    with transaction() as session:
        alert = _owned(session, account_id, alert_id, lock=True)
        if expected is not None and alert.updated_at != expected:
            raise PreconditionFailed("The alert was changed meanwhile; read it again")
        _change(session, alert, wanted, actor)
        return alert


def change_many(
    account_id: UUID, alert_ids: Sequence[str], wanted: AlertChange, *, actor: str
) -> list[Changed]:
    """What became of each, in order; one that cannot be changed does not stop the rest."""
    parsed = {text: ids.parse("alert", text) for text in alert_ids}
    with transaction() as session:
        rows = session.scalars(
            select(Alert)
            .where(Alert.account_id == account_id, Alert.id.in_(filter(None, parsed.values())))
            .order_by(Alert.id)
            .with_for_update()
        )
        found = {row.id: row for row in rows}
        changed = []
        for text in alert_ids:
            alert_id = parsed[text]
            alert = found.get(alert_id) if alert_id else None
            try:
                if alert is None:
                    raise NotFound
                _change(session, alert, wanted, actor)
                changed.append(Changed(text, alert))
            except ApplicationError as error:
                changed.append(Changed(text, error=error))
        return changed


def reopen_snoozed() -> int:
    """Open again what was snoozed, or accepted as a risk, until now; how many that were."""
    with transaction() as session:
        moment = now(session)
        is_over = or_(
            and_(Alert.status == "snoozed", Alert.snoozed_until <= moment),
            and_(Alert.status == "dismissed", Alert.accepted_until <= moment),
        )
        alerts = session.scalars(
            select(Alert)
            .where(is_over)
            .order_by(Alert.id)
            .limit(1_000)
            .with_for_update(skip_locked=True)
        ).all()
        for alert in alerts:
            what = "the snooze" if alert.status == "snoozed" else "the acceptance of the risk"
            transitions.transition(
                session, alert, Transition("open", note=f"{what} is over"), moment
            )
        return len(alerts)


def live_alerts(session: Session, domain_ids: Iterable[UUID]) -> Mapping[UUID, list[Alert]]:
    """By domain: the alerts that are not resolved, locked until the commit; a step."""
    found: dict[UUID, list[Alert]] = {}
    for alert in session.scalars(
        select(Alert)
        .where(Alert.domain_id.in_(list(domain_ids)), Alert.status.in_(LIVE))
        .order_by(Alert.id)
        .with_for_update()
    ):
        found.setdefault(cast(UUID, alert.domain_id), []).append(alert)
    return found


def live_account_alerts(session: Session, account_id: UUID) -> Sequence[Alert]:
    """Those about no domain that are not resolved, locked until the commit; a step."""
    return session.scalars(
        select(Alert)
        .where(Alert.account_id == account_id, Alert.domain_id.is_(None), Alert.status.in_(LIVE))
        .order_by(Alert.id)
        .with_for_update()
    ).all()


def evaluate(
    session: Session,
    owner: Domain | Account,
    posture: P,
    standing: Iterable[Alert],
    *,
    rules: Sequence[Rule[P]],
    scan_id: UUID | None = None,
    report_id: UUID | None = None,
) -> dict[str, list[str]]:
    """Hold what stands against the rules, and write the difference; a step.

    owner     what the alerts are about: a domain, or the account itself
    standing  alerts of the owner; those of types that no rule has are left alone
    returns   the ids of the alerts ``opened``, ``sustained`` and ``resolved``
    """
    plan = reconcile.plan(standing, posture, rules)
    cause = Trigger(scan_id, report_id)
    for alert, draft in plan.sustained:
        transitions.refresh(session, alert, draft, posture.now, cause)
    proofs = {type: rule.resolution_evidence for rule in rules for type in rule.types}
    for alert in plan.resolved:
        alert.scan_id = scan_id or alert.scan_id
        seen = {**proofs[alert.type](posture), **_lookup(alert.type, cause)}
        step = Transition("resolved", note="no longer so", evidence=seen or None)
        transitions.transition(session, alert, step, posture.now)
    opened = transitions.open_alert(session, owner, plan.opened, posture.now, cause)
    return {
        "opened": [ids.public("alert", alert_id) for alert_id in opened],
        "sustained": [ids.public("alert", alert.id) for alert, _ in plan.sustained],
        "resolved": [ids.public("alert", alert.id) for alert in plan.resolved],
    }


def _lookup(type: str, cause: Trigger) -> dict[str, str]:
    """What had the rules look, as it is named in evidence."""
    found = {}
    if cause.scan_id:
        found["scanId"] = ids.public("scan", cause.scan_id)
    if cause.report_id:
        found["reportId"] = outbox.public_report(type, cause.report_id)
    return found


def _change(session: Session, alert: Alert, wanted: AlertChange, actor: str) -> None:
    moment = now(session)
    if alert.status == "resolved":
        raise _invalid("status", "the alert is resolved; only its rule can open it again")
    if wanted.status == "snoozed" and not (wanted.snoozed_until and wanted.snoozed_until > moment):
        raise _invalid("snoozedUntil", "a time in the future is needed to snooze")
    if wanted.status != "snoozed" and wanted.snoozed_until is not None:
        raise _invalid("snoozedUntil", "only with the status snoozed")
    _check_acceptance(wanted, moment)
    alert.snoozed_until = wanted.snoozed_until
    alert.accepted_until, alert.risk_owner = wanted.accepted_until, wanted.risk_owner
    transitions.transition(session, alert, Transition(wanted.status, actor, wanted.note), moment)
    audit_log.record(
        session, alert.account_id, actor=actor, action="alert.changed",
        target=ids.public("alert", alert.id), status=wanted.status, note=wanted.note,
        **_acceptance(wanted),
    )  # fmt: skip


def _acceptance(wanted: AlertChange) -> dict[str, str | None]:
    """What the log has of an accepted risk; nothing otherwise."""
    if wanted.accepted_until is None:
        return {}
    until = timestamps.text(wanted.accepted_until)
    return {"accepted_until": until, "risk_owner": wanted.risk_owner}


def _check_acceptance(wanted: AlertChange, moment: datetime) -> None:
    if wanted.accepted_until is None and wanted.risk_owner is None:
        return
    if wanted.status != "dismissed":
        raise _invalid("acceptedUntil", "only with the status dismissed")
    if wanted.accepted_until is None or wanted.accepted_until <= moment:
        raise _invalid("acceptedUntil", "a time in the future is needed to accept a risk")
    if not wanted.risk_owner:
        raise _invalid("riskOwner", "say who answers for the risk")
    if not wanted.note:
        raise _invalid("note", "say why the risk is accepted")


def _owned(session: Session, account_id: UUID, alert_id: UUID, *, lock: bool = False) -> Alert:
    statement = select(Alert).where(Alert.account_id == account_id, Alert.id == alert_id)
    alert = session.scalar(statement.with_for_update() if lock else statement)
    if alert is None:
        raise NotFound
    return alert


def _invalid(field: str, message: str) -> InvalidRequest:
    return InvalidRequest([{"field": field, "code": "invalid", "message": message}])
